//! Only our own lines reach the log. Libraries speak of what they were sent (rustls of the name that a client asks for, at
//! WARN, before anybody logged in), and nothing bounds its length or its number.

use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

pub struct OnlyOurs;

impl<S: Subscriber> Layer<S> for OnlyOurs {
    fn enabled(&self, about: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_ours(about.target())
    }
}

/// The library and the program have one name. What comes by way of the crate `log` is called `log`, or as its own crate.
fn is_ours(target: &str) -> bool {
    target.split("::").next() == Some(env!("CARGO_PKG_NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::captured::Captured;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn a_library_is_not_heard_at_any_level() {
        let lines = Captured::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish()
            .with(OnlyOurs);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "rustls::msgs::handshake", "geheim1@people.test");
            tracing::warn!(target: "log", "geheim2@people.test");
            tracing::info!(target: "h2::codec", name = "geheim3@people.test");
            tracing::error!(target: "tokenrelayed", "geheim4@people.test");
            tracing::debug!("ours");
        });
        let text = lines.text();
        assert!(text.contains("ours") && text.lines().count() == 1, "{text}");
    }
}
