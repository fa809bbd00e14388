//! How people are told: by plain mail over one relay, and by a signed webhook.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::words::Message;
use crate::{
    config::alerts::AlertsSection,
    domain::{
        Clock, DirectAddress,
        alert::{Channel, Listener},
    },
    net::{
        address::Guard,
        fetch::{FetchError, FetchRules, Fetcher},
    },
    pipeline::Gateway,
    send::{Outcome, PlainMail, Relay},
    track::webhook::{Answer, Post, SigningSecret, post, rules},
};

/// One message takes no longer.
pub(super) const LONGEST: Duration = Duration::from_mins(4);
/// A webhook takes no longer.
const WEBHOOK: Duration = Duration::from_secs(20);

/// Why the channels cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum VoicesError {
    /// The secret is none.
    #[error("alerts.webhook_secret {0}")]
    Secret(#[from] crate::track::webhook::sign::BadSecret),
    /// Posting cannot be set up.
    #[error("alerts cannot be posted to a webhook")]
    Fetch(#[from] FetchError),
}

/// The channels.
pub struct Voices {
    mail: Option<(Arc<Relay>, DirectAddress)>,
    webhook: Option<Webhook>,
    clock: Arc<dyn Clock>,
}

struct Webhook {
    url: String,
    secrets: [SigningSecret; 1],
    fetcher: Fetcher,
}

/// What came of a try.
#[derive(Debug, Clone)]
pub struct Probed {
    /// To whom.
    pub listener: Listener,
    /// What the other end said when it took it, or why it did not.
    pub outcome: Result<String, String>,
}

impl Voices {
    /// As configured.
    ///
    /// # Errors
    /// [`VoicesError`].
    pub fn new(rules: &AlertsSection, gateway: &Gateway) -> Result<Self, VoicesError> {
        let relay = rules.relay.as_deref().and_then(|name| gateway.post.relay(name)).cloned();
        let webhook = match (&rules.webhook, &rules.webhook_secret) {
            (Some(url), Some(secret)) => Some(Webhook {
                url: url.clone(),
                secrets: [SigningSecret::parse(secret.expose())?],
                fetcher: Fetcher::new(FetchRules {
                    allow_private: rules.webhook_internal,
                    ..self::rules(Guard::default(), rules.webhook_internal, WEBHOOK)
                })?,
            }),
            _ => None,
        };
        Ok(Self { mail: relay.zip(rules.from.clone()), webhook, clock: Arc::clone(&gateway.clock) })
    }

    /// Whether mail can leave.
    pub(super) const fn has_mail(&self) -> bool {
        self.mail.is_some()
    }

    /// Says one thing to one listener: what the other end answered, or one sentence why not.
    pub(super) async fn say(&self, listener: &Listener, id: Uuid, message: &Message) -> Result<String, String> {
        let said = async {
            match listener.channel {
                Channel::Mail => self.mail(&listener.target, id, message).await,
                Channel::Webhook => self.post(id, message).await,
            }
        };
        tokio::time::timeout(LONGEST, said).await.unwrap_or_else(|_| Err("it took too long".to_owned()))
    }

    async fn mail(&self, to: &str, id: Uuid, message: &Message) -> Result<String, String> {
        let Some((relay, from)) = &self.mail else { return Err("alerts.relay and alerts.from are not set".to_owned()) };
        let to: DirectAddress = to.parse().map_err(|error| format!("{to} {error}"))?;
        let id = id.to_string();
        let at = self.clock.now();
        let mail = PlainMail { from, to: &to, subject: &message.subject, text: &message.text, id: &id, at };
        match mail.send(relay).await.map_err(|error| error.to_string())? {
            Outcome::Accepted { reply, server, .. } => Ok(format!("{server} answered: {reply}")),
            // Nobody takes it from us twice by this: it has the same Message-ID.
            other => Err(other.why().to_owned()),
        }
    }

    async fn post(&self, id: Uuid, message: &Message) -> Result<String, String> {
        let Some(webhook) = &self.webhook else { return Err("alerts.webhook is not set".to_owned()) };
        let (id, body) = (id.to_string(), message.json.to_string());
        let it = Post { url: &webhook.url, id: &id, at: self.clock.now(), body: body.as_bytes(), secrets: &webhook.secrets };
        match post(&webhook.fetcher, it).await {
            Answer::Taken => Ok("it answered 2xx".to_owned()),
            Answer::Gone => Err("it answered 410: it wants nothing more".to_owned()),
            Answer::NotNow { why, .. } => Err(why),
        }
    }
}
