//! Whether people could sign in through the OpenID provider.

use super::Finding;
use crate::cli::context::Context;

/// What it says about itself, and whether it has keys; nothing when none is set.
#[cfg(feature = "oidc")]
pub(super) async fn finding(context: &Context) -> Option<Finding> {
    use crate::web::auth::oidc::Provider;
    let settings = &context.config().oidc;
    let issuer = settings.issuer.as_deref()?;
    let fix = "correct issuer or ca_file in [oidc], or see that this machine reaches the provider";
    let what = "OpenID provider";
    Some(match Provider::of(settings) {
        Err(error) => Finding::bad(what, error, fix),
        Ok(None) => return None,
        Ok(Some(provider)) => match provider.examine().await {
            Ok(()) => Finding::good(what, format!("{issuer} says how to sign in, and has keys")),
            Err(error) => Finding::bad(what, error, fix),
        },
    })
}

/// Built without it.
#[cfg(not(feature = "oidc"))]
#[expect(clippy::unused_async, reason = "as it is with the feature")]
pub(super) async fn finding(_: &Context) -> Option<Finding> {
    None
}
