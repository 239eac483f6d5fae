//! The door for devices on the port of the service API: `/$iothub/websocket`, upgraded to MQTT over WebSocket.
//!
//! Source: the Azure IoT Hub documentation, "Communicate with an IoT hub using the MQTT protocol", and RFC 6455.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::super::code::{self, Failure};
use super::super::doubts::ErrorForm;
use super::super::https::{Connection, Cut};
use super::super::hub::Hub;
use super::super::journal::Call;
use super::super::knobs::Effect;
use super::super::mqtt;
use super::super::operations::DEVICE_WEBSOCKET;
use super::super::websocket::Socket;
use super::answer::Answer;

/// The paths, as clients write them.
pub(super) const PATHS: [&str; 2] = ["/$iothub/websocket", "/%24iothub/websocket"];
/// The sub-protocol that is spoken.
const MQTT: &str = "mqtt";

/// Answers the handshake; once it is through, the connection goes on as a device's.
pub(super) async fn upgrade(State(hub): State<Arc<Hub>>, mut request: Request) -> Response {
    let off = hub.knobs().lacks(DEVICE_WEBSOCKET);
    let effect = hub.strike(DEVICE_WEBSOCKET, request.uri().path()).await;
    let switched = match effect.as_ref().and_then(Effect::instead) {
        _ if off => Err(Failure::new(code::NOT_FOUND, "there is no such path")),
        Some(failure) => Err(failure),
        None => switch(&mut request),
    };
    let (outcome, detail) = match &switched {
        Ok(_) => (101, ""),
        Err(failure) => (failure.code.status, failure.message.as_str()),
    };
    hub.record(&Call { who: "-", operation: DEVICE_WEBSOCKET, subject: request.uri().path(), outcome, detail });
    if let Some(Cut(connection)) = request.extensions().get().filter(|_| effect.as_ref().is_some_and(Effect::cuts)) {
        connection.cancel();
        // The connection ends while this waits, so nothing is answered.
        std::future::pending::<()>().await;
    }
    match switched {
        Ok((response, connection)) => {
            let upgraded = hyper::upgrade::on(request);
            connection.go_on(move |certificate, stop| async move {
                match upgraded.await {
                    Ok(io) => mqtt::serve(hub, Socket::new(TokioIo::new(io)).await, certificate, stop).await,
                    Err(error) => tracing::debug!(%error, "upgrade to WebSocket"),
                }
            });
            response
        }
        Err(failure) => {
            let tracking = format!("{:032x}", fastrand::u128(..));
            Answer::failure(&failure, ErrorForm::A, &tracking, hub.now()).into_response(&tracking)
        }
    }
}

/// The answer that switches protocols, and the connection that is switched.
fn switch(request: &mut Request) -> Result<(Response, Connection), Failure> {
    let no = |why: String| Failure::new(code::ARGUMENT_INVALID, why);
    let mut response = create_response_with_body(request, Body::empty).map_err(|error| no(error.to_string()))?;
    sub_protocol(request.headers()).map_err(no)?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(MQTT));
    let connection = request.extensions_mut().remove::<Connection>();
    connection
        .map(|connection| (response, connection))
        .ok_or_else(|| no("the connection cannot be upgraded".to_owned()))
}

/// Whether the client offers the one that is spoken here.
fn sub_protocol(headers: &HeaderMap) -> Result<(), String> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    if offered.iter().any(|name| name.eq_ignore_ascii_case(MQTT)) {
        return Ok(());
    }
    let amqp = offered.iter().any(|name| name.to_ascii_lowercase().starts_with("amqp"));
    let spoken = "this hub speaks MQTT over WebSocket (sub-protocol 'mqtt')";
    Err(if amqp {
        format!("AMQP is not supported; {spoken}")
    } else {
        format!("no sub-protocol is spoken by both; {spoken}")
    })
}
