//! Integration tests, one binary: this file is only the list of modules.

mod cli;
mod house;
mod kinds;
mod programs;
mod queries;
mod quiet;
mod restart;
mod support;
mod sync;
mod trouble;
