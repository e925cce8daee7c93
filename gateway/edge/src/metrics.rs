//! What the gateway counts, in the words of an operator. One registry a gateway, so that several run in one process.
//!
//! No metric carries an id of a user, device or conversation: names and labels leave the region (promise 8).

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The label of a refusal.
type Code = [(&'static str, &'static str); 1];

/// All counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) handshakes: Gauge,
    pub(crate) connections_accepted: Counter,
    pub(crate) frames_in: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) deliveries_encoded: Counter,
    pub(crate) inbox_overflows: Counter,
    pub(crate) fan_out_overflows: Counter,
    pub(crate) fell_behind: Counter,
    pub(crate) reads_failed: Counter,
    pub(crate) audited: Counter,
    pub(crate) audit_failures: Counter,
    closed: Family<Code, Counter>,
}

impl Metrics {
    /// A connection was closed, or not opened, with this code.
    pub(crate) fn closed(&self, code: &'static str) {
        self.closed.get_or_create(&[("code", code)]).inc();
    }

    /// In OpenMetrics' text format, with its closing line.
    pub(crate) fn text(&self) -> String {
        let mut registry = Registry::with_prefix("archipelago_gateway");
        registry.register("connections", "Open connections of devices", self.connections.clone());
        registry.register(
            "handshakes",
            "Connections that have not finished their handshake, which hold a place as well",
            self.handshakes.clone(),
        );
        let counters = [
            ("connections_accepted", "Connections whose handshake succeeded", &self.connections_accepted),
            ("frames_in", "Frames received from devices", &self.frames_in),
            ("received_bytes", "Bytes of frames received from devices", &self.bytes_in),
            ("sent_bytes", "Bytes of frames sent to devices", &self.bytes_out),
            (
                "deliveries_encoded",
                "Changes turned into a delivery, once for all devices",
                &self.deliveries_encoded,
            ),
            ("inbox_overflows", "Times that a session missed events and read again", &self.inbox_overflows),
            ("fan_out_overflows", "Times that all sessions missed events", &self.fan_out_overflows),
            ("fell_behind", "Times that a device did not read and fell back to sync", &self.fell_behind),
            ("reads_failed", "Reads for devices that a damaged or failing store refused", &self.reads_failed),
            (
                "audit_lines",
                "Lines written of what operators asked for, and how it was answered",
                &self.audited,
            ),
            ("audit_failures", "Such lines that the disk refused", &self.audit_failures),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("closed", "Connections that the gateway closed, by code", self.closed.clone());
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}
