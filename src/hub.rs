//! Client of the hub's service API.
