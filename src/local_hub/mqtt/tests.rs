//! Raw bytes against the device side: over real TLS, over WebSocket, and in memory where time has to pass.

mod connect;
mod raw;
mod requests;
mod sessions;
mod timing;
mod websocket;
mod x509;
