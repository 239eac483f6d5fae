//! A device's side of the hub: connects over MQTT, reports once, and goes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubtwin::local_hub::Running;
use hubtwin::sas::{Key, device_resource};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS, Transport};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

/// How long the hub may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Reports a patch; says whether the hub took it. Not when the device is gone.
pub async fn report(hub: &Running, twin: &str, key: &str, patch: &Value) -> bool {
    let reporting = async {
        let (device, module) = twin.split_once('/').map_or((twin, None), |(device, module)| (device, Some(module)));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(hub.ca_pem().as_bytes()).expect("the hub's root")).expect("a root");
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut options = MqttOptions::new(twin, hub.host(), hub.mqtt_port());
        options.set_transport(Transport::tls_with_config(tls.into())).set_clean_session(true);
        let until = (SystemTime::now() + Duration::from_secs(600)).duration_since(UNIX_EPOCH).expect("after 1970");
        let key = Key::parse(key).expect("the hub's key");
        let token = key.sign(&device_resource(hub.host(), device, module), None, until.as_secs());
        options.set_credentials(format!("{}/{twin}/?api-version=2021-04-12", hub.host()), token.expose());
        let (client, mut connection) = AsyncClient::new(options, 8);
        client.subscribe("$iothub/twin/res/#", QoS::AtMostOnce).await.expect("the queue has room");
        let topic = "$iothub/twin/PATCH/properties/reported/?$rid=1";
        client.publish(topic, QoS::AtMostOnce, false, patch.to_string()).await.expect("the queue has room");
        loop {
            match connection.poll().await {
                Ok(Event::Incoming(Packet::Publish(answer))) => {
                    let taken = answer.topic.starts_with("$iothub/twin/res/204/");
                    let _ = client.try_disconnect();
                    // Until the good-bye is out.
                    while connection.poll().await.is_ok() {}
                    return taken;
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    };
    tokio::time::timeout(DEADLINE, reporting).await.unwrap_or(false)
}
