//! Hands an order and its result in, and waits until it is known what became of them.
//!
//! `POSTERN_URL=http://127.0.0.1:8080 POSTERN_TOKEN=pt_... cargo run --example quick_start -- report.pdf`

#![expect(clippy::print_stdout, reason = "it is for people who try it out")]

use std::{env, error::Error, fs, time::Duration};

use reqwest::{Client, Response, multipart};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (url, token) = (env::var("POSTERN_URL")?, env::var("POSTERN_TOKEN")?);
    let pdf = fs::read(env::args().nth(1).ok_or("say which PDF")?)?;
    let client = Client::new();

    let order = json!({
        "order_id": "QS-1", "site": "RIVERSIDE01",
        "patient": { "name": { "family": "Testriver", "given": ["Morgan"] }, "birth_date": "1964-02-17", "gender": "F" },
        "deliver_to": [{ "role": "pcp", "direct": "pcp@hisp.test" }],
    });
    // The same again is recognised, so whatever you are unsure about may be sent again.
    taken(client.post(format!("{url}/v1/orders")).bearer_auth(&token).json(&order).send().await?).await?;

    let result =
        multipart::Part::text(json!({ "order_id": "QS-1", "status": "final" }).to_string()).mime_str("application/json")?;
    let report = multipart::Part::bytes(pdf).mime_str("application/pdf")?;
    let form = multipart::Form::new().part("result", result).part("pdf", report);
    let sent = taken(client.post(format!("{url}/v1/results")).bearer_auth(&token).multipart(form).send().await?).await?;
    let id = sent["id"].as_str().unwrap_or_default();

    for _ in 0..60 {
        let shown = taken(client.get(format!("{url}/v1/results/{id}")).bearer_auth(&token).send().await?).await?;
        if shown["state"] != "received" {
            println!("{shown:#}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err("nothing became of it within a minute: is a worker running?".into())
}

/// What was answered; a problem says what to mend, and names the fields.
async fn taken(answer: Response) -> Result<Value, Box<dyn Error>> {
    let (status, body) = (answer.status(), answer.json::<Value>().await?);
    if status.is_success() {
        Ok(body)
    } else {
        Err(format!("{status} {}: {} {}", body["code"], body["detail"], body["errors"]).into())
    }
}
