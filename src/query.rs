//! The query language of the hub.
