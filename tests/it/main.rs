//! Integration tests, one binary: this file is only the list of modules.
