//! The service API over real TLS.
