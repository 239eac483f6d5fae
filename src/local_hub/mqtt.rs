//! The device side: MQTT 3.1.1. Packets and topics are read and written in memory; only `connection` knows a stream.
//!
//! Source: the Azure IoT Hub documentation, "Communicate with an IoT hub using the MQTT protocol", and MQTT 3.1.1.

mod codec;
mod connection;
mod login;
mod requests;
mod topic;

pub use self::connection::serve;

#[cfg(test)]
mod tests;
