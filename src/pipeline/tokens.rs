//! Keys on a token, opened once: the module is loaded when the first identity needs it, and sessions are kept.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Mutex;

use crate::{
    config::token::TokenSection,
    crypto::token::{TokenError, TokenKey, Tokens},
};

/// The keys opened so far, by their URI.
#[derive(Default)]
pub(super) struct TokenKeys(Mutex<Opened>);

#[derive(Default)]
struct Opened {
    module: Option<Tokens>,
    keys: HashMap<String, Arc<TokenKey>>,
}

impl TokenKeys {
    /// The key at `uri`. Talking to a token takes its time, so it is done beside the others' work.
    pub(super) async fn key(&self, section: &TokenSection, uri: &str) -> Result<Arc<TokenKey>, TokenError> {
        let mut opened = self.0.lock().await;
        if let Some(key) = opened.keys.get(uri) {
            return Ok(Arc::clone(key));
        }
        let (section, module, place) = (section.clone(), opened.module.clone(), uri.to_owned());
        let open = move || {
            let module = match module {
                Some(module) => module,
                None => load(&section)?,
            };
            let key = place.parse().and_then(|uri| module.key(uri));
            Ok::<_, TokenError>((module, key))
        };
        let (module, key) = tokio::task::spawn_blocking(open).await.map_err(|_| TokenError::Stopped)??;
        // Kept also when there is no such key: it is the module that knows of a refused PIN.
        opened.module = Some(module);
        let key = Arc::new(key?);
        opened.keys.insert(uri.to_owned(), Arc::clone(&key));
        Ok(key)
    }
}

/// Loads the module that the configuration names.
pub(crate) fn load(section: &TokenSection) -> Result<Tokens, TokenError> {
    let module = section.module.as_deref().ok_or(TokenError::NotConfigured)?;
    Tokens::load(module, section.pin_file.as_deref())
}
