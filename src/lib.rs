//! hubtwin keeps Azure IoT Hub device twins and Kubernetes in step.
//!
//! This page is the map of the crate. Arrows point from user to used; a test reads every `use` line and keeps it true.
//!
//! | module | holds | may use |
//! | --- | --- | --- |
//! | [`twin`] | twin documents, paths, merge patch, the hub's rules, the plan, convergence; pure | std, serde, jiff |
//! | [`query`] | the hub's query language: parse, evaluate; pure | `twin` |
//! | [`sas`] | mints shared access signatures; pure | std, hmac |
//! | [`api`] | the Kubernetes kinds, their schemas and conditions | `twin` |
//! | [`hub`] | client of the hub's service API: auth, wire types, errors | `twin`, `sas`, HTTP |
//! | [`manifest`] | manifests as users write them: read as kubectl does, checked, written; pure | `api`, `twin`, `query`, `hub` |
//! | [`controller`] | gather, plan, execute, record for each kind; the feed | `api`, `hub`, `twin`, kube |
//! | [`operator`] | wiring: admin server, controllers, shutdown | `controller`, `api` |
//! | `local_hub` | an IoT hub for twins on one machine | `twin`, `query`, sockets |
//! | `device` | simulated devices | `twin`, `sas`, MQTT |
//! | [`cli`] | one file a command | everything |
//! | `fuzz` | what the fuzz targets run and the tests replay; in no other build | everything |

pub mod api;
pub mod cli;
pub mod controller;
#[cfg(feature = "device")]
pub mod device;
#[cfg(all(any(test, fuzzing), feature = "local-hub"))]
pub mod fuzz;
pub mod hub;
#[cfg(feature = "local-hub")]
pub mod local_hub;
pub mod manifest;
pub mod operator;
pub mod query;
pub mod sas;
pub mod twin;
