//! One device's connection: carries messages between the hub and the pure parts.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rumqttc::{
    AsyncClient, ConnectionError, Event as Mqtt, EventLoop, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration,
    Transport,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::behaviour::Behaviour;
use super::event::{Event, What};
use super::login::Device;
use super::talk::{Message, Talk};
use super::topic;
use crate::sas::device_resource;

/// The API that the device speaks: the current one of the public device SDKs. It allows arrays.
const API_VERSION: &str = "2021-04-12";
/// The life of a token; the hub ends the connection with it, and the next connect brings a new one.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Twin documents have up to 32 KB a section; the library's own limit is 10 KB. This is the hub's for any message.
const LARGEST_PACKET: usize = 256 * 1024;
/// Requests that wait for the connection. A device has two subscriptions and one request under way.
const QUEUE: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a good-bye may take.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// What all sessions share.
pub(super) struct Link {
    pub(super) host: String,
    pub(super) mqtt_port: u16,
    pub(super) tls: TlsConfiguration,
    pub(super) behaviour: Behaviour,
    pub(super) events: Arc<dyn Fn(Event) + Send + Sync>,
}

pub(super) struct Session {
    link: Arc<Link>,
    device: Device,
    client: AsyncClient,
    connection: EventLoop,
    talk: Talk,
}

impl Session {
    pub(super) fn new(link: Arc<Link>, device: Device) -> Self {
        let client_id = device.id.to_string();
        let mut options = MqttOptions::new(client_id, link.host.clone(), link.mqtt_port);
        options
            .set_transport(Transport::tls_with_config(link.tls.clone()))
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(false)
            .set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
        let (client, connection) = AsyncClient::new(options, QUEUE);
        let talk = Talk::new(link.behaviour.clone());
        Self { link, device, client, connection, talk }
    }

    /// Until shutdown.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        self.sign();
        loop {
            let due = self.talk.due();
            let polled = tokio::select! {
                () = shutdown.cancelled() => break,
                () = wait_until(due), if due.is_some() => None,
                polled = self.connection.poll() => Some(polled),
            };
            match polled {
                None => {
                    let (told, messages) = self.talk.tick(tokio::time::Instant::now());
                    self.deliver(told, messages);
                }
                Some(Ok(event)) => {
                    if self.handle(event) {
                        pause = FIRST_PAUSE;
                    }
                }
                Some(Err(error)) => {
                    self.talk.lost();
                    self.tell(What::Disconnected(describe(&error)));
                    // Half to whole of the pause, so that a fleet that was cut off does not come back as one.
                    let now = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = sleep(now) => {}
                    }
                    self.sign();
                }
            }
        }
        // Nothing is lost when the good-bye does not get through.
        let _ = timeout(GOOD_BYE, self.good_bye()).await;
    }

    /// A new token for the next connect; an empty password for a device without a key.
    fn sign(&mut self) {
        let Link { host, .. } = &*self.link;
        let Device { id, key } = &self.device;
        let user = format!("{host}/{id}/?api-version={API_VERSION}");
        let token = key.as_ref().map(|key| {
            let expires = (SystemTime::now() + TOKEN_LIFETIME).duration_since(UNIX_EPOCH).unwrap_or_default();
            key.sign(&device_resource(host, id.device_id.as_str(), id.module()), None, expires.as_secs())
        });
        self.connection.mqtt_options.set_credentials(user, token.as_ref().map_or("", |token| token.expose()));
    }

    /// Takes one event of the connection; whether it was a new connection.
    fn handle(&mut self, event: Mqtt) -> bool {
        match event {
            Mqtt::Incoming(Packet::ConnAck(_)) => {
                self.tell(What::Connected);
                for filter in [topic::ANSWERS, topic::CHANGES] {
                    if self.client.try_subscribe(filter, QoS::AtLeastOnce).is_err() {
                        tracing::warn!(device = %self.device.id, "the queue of requests is full");
                    }
                }
                let (told, messages) = self.talk.connected();
                self.deliver(told, messages);
                true
            }
            Mqtt::Incoming(Packet::Publish(publish)) => {
                let (told, messages) = self.talk.received(&publish.topic, &publish.payload);
                self.deliver(told, messages);
                false
            }
            Mqtt::Incoming(_) | Mqtt::Outgoing(_) => false,
        }
    }

    fn deliver(&self, told: Vec<What>, messages: Option<Message>) {
        for what in told {
            self.tell(what);
        }
        // A message that finds no room goes unanswered, and is asked again when its time is up.
        if let Some(Message { topic, payload }) = messages
            && self.client.try_publish(topic, QoS::AtMostOnce, false, payload).is_err()
        {
            tracing::warn!(device = %self.device.id, "the queue of requests is full");
        }
    }

    fn tell(&self, what: What) {
        (self.link.events)(Event { id: self.device.id.clone(), what });
    }

    async fn good_bye(&mut self) {
        if self.client.try_disconnect().is_err() {
            return;
        }
        while let Ok(event) = self.connection.poll().await {
            if matches!(event, Mqtt::Outgoing(Outgoing::Disconnect)) {
                return;
            }
        }
    }
}

async fn wait_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => format!("the hub refuses the connection: {code:?}"),
        other => other.to_string(),
    }
}
