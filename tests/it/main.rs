//! Integration tests, one binary: this file is only the list of modules.

mod check;
mod cli;
mod contest;
mod convergence;
mod deletion;
mod everywhere;
mod house;
mod identity;
mod import;
mod kinds;
mod kstatus;
mod lost;
mod model;
mod peers;
mod plan;
mod programs;
mod queries;
mod quiet;
mod reasons;
mod restart;
mod scenarios;
mod store;
mod support;
mod sync;
mod trouble;
mod yaml;
