//! The device side: MQTT 3.1.1. Packets and topics are read and written in memory; only `connection` knows a stream.
//!
//! Source: the Azure IoT Hub documentation, "Communicate with an IoT hub using the MQTT protocol", and MQTT 3.1.1.

mod admission;
#[cfg(test)]
mod bytes;
mod codec;
mod connection;
mod end;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod login;
mod requests;
mod strict;
mod topic;

pub use self::connection::serve;
#[cfg(any(test, fuzzing))]
pub use self::fuzz::mqtt as fuzz_mqtt;

#[cfg(test)]
mod tests;
