//! Simulated devices: they connect as devices do, report, follow their desired properties and acknowledge them.
//!
//! What a device answers is decided by pure functions; the session around them speaks MQTT.
//!
//! Source: the Azure IoT Hub documentation, "Communicate with an IoT hub using the MQTT protocol" and "Understand and use
//! device twins in IoT Hub" (reconnection flow).

mod behaviour;
mod event;
mod firmware;
mod fleet;
mod login;
mod session;
mod state;
mod talk;
mod tls;
mod topic;

pub use behaviour::{Ack, Behaviour};
pub use event::{Event, What};
pub use fleet::{Settings, run};
pub use login::Device;
pub use tls::{Certificate, SetupError};
