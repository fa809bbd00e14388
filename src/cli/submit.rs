//! `postern order submit` and `postern result submit`: the API from the shell.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{
    Exit, block_on,
    context::{Gateway, Output},
    exchange::{Answer, post_form, post_json},
    print, read, say,
    table::{Rows, clean, print_json},
};
use crate::domain::report::ResultStatus;

/// Orders: submit one to a running gateway
#[derive(Debug, Args)]
pub(crate) struct Order {
    #[command(subcommand)]
    command: OrderCommand,
}

#[derive(Debug, Subcommand)]
enum OrderCommand {
    /// Submit an order: new, changed or cancelled, as its file says
    ///
    /// Exit code 1 when the gateway refuses it; every problem is listed with its field.
    Submit(SubmitOrder),
}

#[derive(Debug, Args)]
struct SubmitOrder {
    /// The order (JSON); - is standard input
    file: PathBuf,
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    output: Output,
}

/// Results: submit one to a running gateway
#[derive(Debug, Args)]
pub(crate) struct ResultOf {
    #[command(subcommand)]
    command: ResultCommand,
}

#[derive(Debug, Subcommand)]
enum ResultCommand {
    /// Submit a result with its PDF
    ///
    /// Submitting the same result again changes nothing. Exit code 1 when the gateway refuses it; every problem is listed
    /// with its field.
    Submit(SubmitResult),
}

#[derive(Debug, Args)]
struct SubmitResult {
    /// The sender's key of its order
    #[arg(long, value_name = "ID")]
    order: String,
    /// The report
    #[arg(long, value_name = "FILE")]
    pdf: PathBuf,
    /// final (default), corrected, addendum, preliminary or resend
    #[arg(long)]
    status: Option<ResultStatus>,
    /// The local_id of its site, unless --result says it
    #[arg(long, value_name = "LOCAL_ID")]
    site: Option<String>,
    /// What else is known about the result (JSON)
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn order(order: &Order) -> anyhow::Result<Exit> {
    let OrderCommand::Submit(args) = &order.command;
    let json = read(&args.file)?;
    let answer = block_on(post_json(&args.gateway, "/v1/orders", json))??;
    told("order", &answer, &args.output)
}

pub(crate) fn result(result: &ResultOf) -> anyhow::Result<Exit> {
    let ResultCommand::Submit(args) = &result.command;
    let json = serde_json::to_vec(&message(args)?)?;
    let pdf = read(&args.pdf)?;
    let answer = block_on(post_form(&args.gateway, "/v1/results", &json, &pdf))??;
    told("result", &answer, &args.output)
}

/// What the options say, put over what the file says.
fn message(args: &SubmitResult) -> anyhow::Result<Value> {
    let mut message = match &args.result {
        Some(file) => object(file)?,
        None => Map::new(),
    };
    let given = [
        ("order_id", Some(args.order.clone())),
        ("status", args.status.map(|status| status.to_string())),
        ("site", args.site.clone()),
    ];
    for (field, value) in given {
        let Some(value) = value else { continue };
        let before = message.insert(field.to_owned(), Value::from(value.clone()));
        anyhow::ensure!(
            before.is_none_or(|before| before == value),
            "the file given with --result has another {field} than the command line"
        );
    }
    message.entry("status").or_insert_with(|| ResultStatus::Final.as_str().into());
    Ok(Value::Object(message))
}

fn object(file: &Path) -> anyhow::Result<Map<String, Value>> {
    serde_json::from_slice(&read(file)?).with_context(|| format!("{} is not a JSON object", file.display()))
}

/// Says what the gateway answered.
fn told(what: &str, answer: &Answer, output: &Output) -> anyhow::Result<Exit> {
    let exit = if answer.is_success() { Exit::Good } else { Exit::Bad };
    if output.json {
        print_json(&answer.body)?;
        return Ok(exit);
    }
    let text = |value: &Value, field: &str| clean(value[field].as_str().unwrap_or_default());
    let list = |field: &str| answer.body[field].as_array().cloned().unwrap_or_default();
    if !answer.is_success() {
        say(&format!("refused ({} {}): {}", answer.status, text(&answer.body, "code"), text(&answer.body, "detail")));
        for problem in list("errors") {
            say(&format!("  {}: {}", text(&problem, "field"), text(&problem, "message")));
        }
        return Ok(exit);
    }
    let version = answer.body["version"].as_u64().map_or_else(String::new, |version| format!(", version {version}"));
    let reason = answer.body["reason"].as_str().map_or_else(String::new, |reason| format!(" ({})", clean(reason)));
    let known = match answer.status {
        200 => "known already; ",
        202 => "kept until it can go on; ",
        _ => "",
    };
    print(&format!(
        "{what} {} of order {}{version}: {known}{}{reason}\n",
        text(&answer.body, "id"),
        text(&answer.body, "order_id"),
        text(&answer.body, "state")
    ))?;
    for warning in list("warnings") {
        say(&format!("warning: {} {}", text(&warning, "field"), text(&warning, "message")));
    }
    let deliveries = list("deliveries");
    if !deliveries.is_empty() {
        let mut rows = Rows::new(&["delivery", "address", "state", "reason"]);
        for delivery in &deliveries {
            rows.push(["id", "address", "state", "reason"].map(|field| text(delivery, field)));
        }
        rows.print()?;
    }
    Ok(exit)
}
