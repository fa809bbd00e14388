//! `postern org test-message`: does a message of this site reach that address?

use clap::Args;

use crate::{
    cli::{
        Exit,
        assemble::intake,
        context::{self, Global, Output, with_store},
        print, say,
        table::print_json,
    },
    domain::DirectAddress,
    source::{
        SourceError,
        test_message::{self, TestMessage as Message},
    },
};

/// Send a made-up patient's report from a site to an address, as every result is sent
///
/// It says that it is no result. In test mode only test domains get it, and it costs nothing; at a site in production it is a
/// real message and is charged as one. A running gateway sends it; postern explain shows where it goes.
#[derive(Debug, Args)]
pub(super) struct TestMessage {
    /// The organization's short name
    slug: String,
    /// From this site, by its local_id
    #[arg(long, value_name = "LOCAL_ID")]
    site: String,
    /// To this Direct address
    #[arg(long, value_name = "ADDRESS")]
    to: DirectAddress,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &TestMessage, global: &Global) -> anyhow::Result<Exit> {
    let taken = with_store(global, async |context, store| {
        let organization = context::organization(store, &args.slug).await?;
        let intake = intake(context.config(), store)?;
        let message = Message { site: &args.site, address: &args.to, repeat: None };
        match test_message::take(&intake, organization.id, &message).await {
            Ok(taken) => Ok(Ok(taken)),
            Err(SourceError::Refused(refusal)) => Ok(Err(refusal)),
            Err(error) => Err(error.into()),
        }
    })?;
    let taken = match taken {
        Ok(taken) => taken,
        Err(refusal) => {
            say(&refusal.to_string());
            for field in &refusal.errors {
                say(&format!("  {} {}", field.field, field.message));
            }
            return Ok(Exit::Bad);
        }
    };
    if args.output.json {
        print_json(&taken)?;
    } else {
        print(&format!("{}\n", taken.order_id))?;
        say(&format!("taken as result {}; postern explain {} shows where it goes", taken.id, taken.order_id));
    }
    Ok(Exit::Good)
}
