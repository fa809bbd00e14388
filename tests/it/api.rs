//! The JSON API, over a real socket.

use postern::{
    config::web::WebSection,
    domain::OrgScope,
    observe::health::Health,
    web::{Web, serve},
};
use reqwest::{Client, RequestBuilder, multipart};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::counter::{Counter, PDF_BYTES, base64, order, pdf, result, with};

struct Api {
    counter: Counter,
    client: Client,
    url: String,
    token: String,
}

/// Status and body of an answer.
type Answer = (u16, Value);

impl Api {
    async fn open() -> Self {
        let counter = Counter::open().await;
        let token = counter.store.create_token(counter.org, "test", false).await.unwrap();
        let settings = WebSection { body_bytes: 2 * PDF_BYTES, ..WebSection::default() };
        let web = Web::new(&settings, counter.intake.clone(), Health::default(), None);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(web, listener, CancellationToken::new()));
        Self { counter, client: Client::new(), url, token }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    async fn order(&self, order: &Value) -> Answer {
        answer(self.post("/v1/orders").json(order)).await
    }

    async fn result(&self, result: &Value, content: &str) -> Answer {
        answer(self.post("/v1/results").json(&with(result.clone(), "pdf", base64(&pdf(content)).into()))).await
    }

    async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token)).await
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    if status >= 400 {
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.headers().contains_key("x-request-id"));
    (status, response.json().await.unwrap())
}

fn fields(body: &Value) -> Vec<&str> {
    body["errors"].as_array().map(|all| all.iter().filter_map(|e| e["field"].as_str()).collect()).unwrap_or_default()
}

#[tokio::test]
async fn a_result_is_created_once_and_can_be_asked_for() {
    let api = Api::open().await;
    let (status, body) = api.order(&order("A1")).await;
    assert_eq!((status, body["state"].as_str()), (201, Some("open")), "{body}");
    assert_eq!(api.order(&order("A1")).await.0, 200);

    let (status, first) = api.result(&result("A1", "final"), "one").await;
    assert_eq!((status, &first["version"], &first["state"]), (201, &json!(1), &json!("received")), "{first}");
    let (status, again) = api.result(&result("A1", "final"), "one").await;
    assert_eq!((status, &again["id"]), (200, &first["id"]));
    assert_eq!(again, first, "the same again is told the same");

    let path = format!("/v1/results/{}", first["id"].as_str().unwrap());
    let (status, seen) = api.get(&path).await;
    assert_eq!((status, &seen["order_id"], &seen["deliveries"]), (200, &json!("A1"), &json!([])));
}

#[tokio::test]
async fn what_was_answered_with_201_is_there_after_the_process_is_gone() {
    let api = Api::open().await;
    api.order(&order("A1")).await;
    assert_eq!(api.result(&result("A1", "final"), "one").await.0, 201);
    let store = api.counter.reopened().await;
    let views = store.results_of_order(OrgScope::One(api.counter.org), "A1").await.unwrap();
    assert_eq!(views.len(), 1);
}

#[tokio::test]
async fn a_result_before_its_order_waits_and_goes_on_when_the_order_comes() {
    let api = Api::open().await;
    let (status, body) = api.result(&result("A1", "final"), "one").await;
    assert_eq!((status, &body["state"], &body["reason"]), (202, &json!("waiting"), &json!("waiting_for_order")));
    assert_eq!(api.order(&order("A1")).await.0, 201);
    assert_eq!(api.get(&format!("/v1/results/{}", body["id"].as_str().unwrap())).await.1["state"], "received");
}

#[tokio::test]
async fn a_result_may_carry_its_order_and_a_later_one_may_change_it() {
    let api = Api::open().await;
    let (status, body) = api.result(&with(result("A1", "final"), "order", order("A1")), "one").await;
    assert_eq!((status, &body["state"]), (201, &json!("received")), "{body}");

    let mut moved = order("A1");
    moved["deliver_to"][0]["direct"] = json!("new@direct.example.org");
    let (status, _) = api.result(&with(result("A1", "corrected"), "order", moved), "two").await;
    assert_eq!(status, 201);
    let (_, known) = api.counter.store.order_called(api.counter.org, "A1").await.unwrap().unwrap();
    assert_eq!(known.deliver_to[0].direct.as_ref().unwrap().valid().unwrap().as_str(), "new@direct.example.org");

    // The first one again must not turn the order back.
    assert_eq!(api.result(&with(result("A1", "final"), "order", order("A1")), "one").await.0, 200);
    let (_, known) = api.counter.store.order_called(api.counter.org, "A1").await.unwrap().unwrap();
    assert_eq!(known.deliver_to[0].direct.as_ref().unwrap().valid().unwrap().as_str(), "new@direct.example.org");
}

#[tokio::test]
async fn a_result_that_comes_again_neither_turns_its_order_back_nor_takes_a_cancelled_one_up() {
    let api = Api::open().await;
    let carried = with(result("A1", "final"), "order", order("A1"));
    let first = api.result(&carried, "one").await.1;
    let mut moved = order("A1");
    (moved["action"], moved["deliver_to"][0]["direct"]) = (json!("change"), json!("new@direct.example.org"));
    assert_eq!(api.order(&moved).await.0, 200);
    let stands = async || {
        let (_, known) = api.counter.store.order_called(api.counter.org, "A1").await.unwrap().unwrap();
        let to = known.deliver_to[0].direct.as_ref().unwrap().valid().unwrap().to_string();
        (to, api.get(&format!("/v1/results/{}", first["id"].as_str().unwrap())).await.1["state"].clone())
    };
    let (status, again) = api.result(&carried, "one").await;
    assert_eq!((status, &again["id"]), (200, &first["id"]), "it is known, and nothing new is said");
    assert_eq!(stands().await, ("new@direct.example.org".to_owned(), json!("received")));

    assert_eq!(api.order(&json!({ "order_id": "A1", "action": "cancel" })).await.0, 200);
    let (status, again) = api.result(&carried, "one").await;
    assert_eq!((status, &again["state"], &again["reason"]), (200, &json!("not_sent"), &json!("cancelled")));
    assert_eq!(stands().await, ("new@direct.example.org".to_owned(), json!("not_sent")));
}

#[tokio::test]
async fn what_a_result_carried_is_still_done_when_it_comes_again_after_the_process_died_between_the_two() {
    let api = Api::open().await;
    assert_eq!(api.order(&order("A1")).await.0, 201);
    // As it was left: the result stands, the change it carried was never made.
    let plain = result("A1", "final");
    assert_eq!(api.result(&plain, "one").await.0, 201);
    let mut moved = order("A1");
    moved["deliver_to"][0]["direct"] = json!("new@direct.example.org");
    assert_eq!(api.result(&with(plain, "order", moved), "one").await.0, 200);
    let (_, known) = api.counter.store.order_called(api.counter.org, "A1").await.unwrap().unwrap();
    assert_eq!(known.deliver_to[0].direct.as_ref().unwrap().valid().unwrap().as_str(), "new@direct.example.org");
}

#[tokio::test]
async fn a_result_that_carries_another_patient_under_a_known_order_is_refused() {
    let api = Api::open().await;
    api.order(&order("A1")).await;
    let mut other = order("A1");
    other["patient"]["local_id"] = json!("ZZ000999");
    let (status, body) = api.result(&with(result("A1", "final"), "order", other), "one").await;
    assert_eq!((status, fields(&body)), (422, vec!["/order/patient/local_id"]));
    assert!(api.counter.results("A1").await.is_empty());
}

#[tokio::test]
async fn other_content_under_final_must_be_called_corrected() {
    let api = Api::open().await;
    api.order(&order("A1")).await;
    api.result(&result("A1", "final"), "one").await;
    let (status, body) = api.result(&result("A1", "final"), "two").await;
    assert_eq!((status, &body["code"]), (409, &json!("use_corrected")));
    let (status, body) = api.result(&result("A1", "corrected"), "two").await;
    assert_eq!((status, &body["version"]), (201, &json!(2)));
}

#[tokio::test]
async fn a_form_with_result_and_pdf_is_the_same_as_json_with_the_pdf_inside() {
    let api = Api::open().await;
    api.order(&order("A1")).await;
    let form = |content: &str| {
        let json = multipart::Part::text(result("A1", "final").to_string()).mime_str("application/json").unwrap();
        multipart::Form::new().part("pdf", multipart::Part::bytes(pdf(content)).file_name("x.pdf")).part("result", json)
    };
    let (status, first) = answer(api.post("/v1/results").multipart(form("one"))).await;
    assert_eq!(status, 201, "{first}");
    let (status, same) = api.result(&result("A1", "final"), "one").await;
    assert_eq!((status, &same["id"]), (200, &first["id"]));

    let odd = form("one").text("notes", "x");
    assert_eq!(answer(api.post("/v1/results").multipart(odd)).await.0, 422);
    let only_pdf = multipart::Form::new().part("pdf", multipart::Part::bytes(pdf("one")));
    let (status, body) = answer(api.post("/v1/results").multipart(only_pdf)).await;
    assert_eq!((status, fields(&body)), (422, vec!["/result"]));
}

#[tokio::test]
async fn bad_input_is_named_by_field_and_never_repeated() {
    let api = Api::open().await;
    let mut bad = order("A1");
    bad["patient"]["name"]["family"] = json!("Xsecretx\r\nBcc: a@b.example");
    bad["patient"].as_object_mut().unwrap().remove("birth_date");
    bad["colour"] = json!("Xsecretx");
    let (status, body) = api.order(&bad).await;
    assert_eq!(status, 422);
    let named = fields(&body);
    for field in ["/patient/name/family", "/patient/birth_date", "/colour"] {
        assert!(named.contains(&field), "{field} in {named:?}");
    }
    assert!(!body.to_string().contains("Xsecretx"), "{body}");

    for (json, pdf, field) in [
        (result("A1", "final"), None, "/pdf"),
        (result("A1", "final"), Some("not base64!"), "/pdf"),
        (result("A1", "final"), Some("bm90IGEgUERG"), "/pdf"),
        (result("A1", "final"), Some("JVBERi1QQU5JQw=="), "/pdf"),
        (result("A1", "finished"), Some("JVBERi0="), "/status"),
        (result("A1", "resend"), Some("JVBERi0="), "/pdf"),
    ] {
        let json = pdf.map_or(json.clone(), |pdf| with(json, "pdf", pdf.into()));
        let (status, body) = answer(api.post("/v1/results").json(&json)).await;
        assert_eq!((status, fields(&body)), (422, vec![field]), "{body}");
    }
    assert!(api.counter.results("A1").await.is_empty());
}

#[tokio::test]
async fn what_is_no_json_or_no_request_is_refused_in_the_same_form() {
    let api = Api::open().await;
    let json = |body: &'static str| api.post("/v1/orders").header("content-type", "application/json").body(body);
    assert_eq!(answer(json("{\"order_id\": ")).await.0, 422);
    assert_eq!(answer(api.post("/v1/orders").header("content-type", "text/plain").body("x")).await.0, 415);
    assert_eq!(answer(api.post("/v1/orders")).await.0, 415);
    assert_eq!(api.get("/v1/nothing").await.0, 404);
    assert_eq!(api.get("/v1/orders").await.0, 405);
    assert_eq!(api.get("/v1/results/not-an-id").await.0, 404);
    let broken = api.post("/v1/results").header("content-type", "multipart/form-data; boundary=x").body("--x\r\nnonsense");
    assert_eq!(answer(broken).await.0, 400);
}

#[tokio::test]
async fn a_bad_npi_or_address_and_an_ssn_are_warned_about_and_do_not_refuse_the_order() {
    let api = Api::open().await;
    let mut odd = order("A1");
    odd["patient"]["ssn"] = json!("000-00-0000");
    odd["deliver_to"] = json!([{ "role": "pcp", "npi": "1234567890", "direct": "nobody" }]);
    let (status, body) = api.order(&odd).await;
    assert_eq!(status, 201, "{body}");
    let warned: Vec<_> = body["warnings"].as_array().unwrap().iter().map(|w| w["field"].as_str().unwrap()).collect();
    assert_eq!(warned, ["/patient/ssn", "/deliver_to/0/direct", "/deliver_to/0/npi"]);
    assert!(!body.to_string().contains("000-00-0000"));
}

#[tokio::test]
async fn what_a_sender_was_warned_about_is_told_again_when_it_sends_or_asks_again() {
    let api = Api::open().await;
    let mut odd = order("A1");
    odd["patient"]["ssn"] = json!("000-00-0000");
    odd["deliver_to"] = json!([{ "npi": "1234567890" }]);
    let (status, first) = api.result(&with(result("A1", "final"), "order", odd), "one").await;
    assert_eq!(status, 201, "{first}");
    let codes = |body: &Value| body["warnings"].as_array().unwrap().iter().map(|w| w["code"].clone()).collect::<Vec<_>>();
    assert_eq!(codes(&first), ["ssn_discarded", "npi_invalid"]);
    // The sender has mended its order; the answer to the result is still the answer it got.
    let (status, again) = api.result(&with(result("A1", "final"), "order", order("A1")), "one").await;
    assert_eq!((status, &again), (200, &first));
    let (_, seen) = api.get(&format!("/v1/results/{}", first["id"].as_str().unwrap())).await;
    assert_eq!(seen, first);

    let cancel = json!({ "order_id": "A1", "site": "RIVERSIDE01", "action": "cancel" });
    assert_eq!(api.order(&cancel).await.0, 200);
    let (_, cancelled) = api.result(&result("A1", "corrected"), "two").await;
    let (status, again) = api.result(&result("A1", "corrected"), "two").await;
    assert_eq!((status, &again), (200, &cancelled));
    assert_eq!(codes(&again), ["order_cancelled"]);
}

#[tokio::test]
async fn the_document_of_a_result_that_is_refused_is_not_stored() {
    let api = Api::open().await;
    api.order(&order("A1")).await;
    api.result(&result("A1", "final"), "one").await;
    let documents = || {
        let folder = api.counter.dir.path().join("blobs").join(api.counter.org.to_string());
        std::fs::read_dir(folder).unwrap().count()
    };
    assert_eq!(documents(), 1);
    assert_eq!(api.result(&result("A1", "final"), "two").await.1["code"], "use_corrected");
    assert_eq!(api.result(&with(result("A1", "corrected"), "site", "ELSEWHERE".into()), "three").await.0, 422);
    assert_eq!(documents(), 1);
}

#[tokio::test]
async fn a_site_nobody_knows_is_warned_about() {
    let api = Api::open().await;
    let (status, body) = api.order(&with(order("A1"), "site", "ELSEWHERE".into())).await;
    assert_eq!((status, &body["warnings"][0]["code"]), (201, &json!("site_unknown")));
}

#[tokio::test]
async fn without_a_known_token_nothing_is_read() {
    let api = Api::open().await;
    let post = || api.client.post(format!("{}/v1/orders", api.url)).json(&order("A1"));
    for request in [post(), post().bearer_auth("pt_wrong"), post().header("authorization", "Basic eDp5")] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    assert!(api.counter.store.order_called(api.counter.org, "A1").await.unwrap().is_none());
}

#[tokio::test]
async fn another_organizations_result_is_not_there() {
    let api = Api::open().await;
    api.order(&order("A1")).await;
    let (_, body) = api.result(&result("A1", "final"), "one").await;
    let path = format!("{}/v1/results/{}", api.url, body["id"].as_str().unwrap());
    let other = api.counter.organization("south-clinics").await;
    let token = api.counter.store.create_token(other, "test", false).await.unwrap();
    assert_eq!(answer(api.client.get(path).bearer_auth(&token)).await.0, 404);
    let same_key = answer(api.client.post(format!("{}/v1/orders", api.url)).bearer_auth(&token).json(&order("A1"))).await;
    assert_eq!(same_key.0, 201, "each organization has its own order_ids");
}

#[tokio::test]
async fn a_pdf_or_a_body_over_the_limit_is_413() {
    let api = Api::open().await;
    let large = "x".repeat(PDF_BYTES);
    let (status, body) = api.result(&result("A1", "final"), &large).await;
    assert_eq!((status, fields(&body)), (413, vec!["/pdf"]));
    let part = multipart::Part::bytes(pdf(&large));
    let form = multipart::Form::new().part("pdf", part).text("result", result("A1", "final").to_string());
    let (status, body) = answer(api.post("/v1/results").multipart(form)).await;
    assert_eq!((status, fields(&body)), (413, vec!["/pdf"]));
    let (status, _) = api.order(&with(order("A1"), "encounter", "x".repeat(2 * PDF_BYTES).into())).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn a_resend_is_a_new_result_each_time_unless_its_idempotency_key_is_the_same() {
    let api = Api::open().await;
    api.order(&order("A1")).await;
    assert_eq!(answer(api.post("/v1/results").json(&result("A1", "resend"))).await.0, 409);
    let (_, first) = api.result(&result("A1", "final"), "one").await;
    let resend = |key: Option<&'static str>| {
        let request = api.post("/v1/results").json(&result("A1", "resend"));
        answer(key.map_or(request.try_clone().unwrap(), |key| request.header("idempotency-key", key)))
    };
    let (status, one) = resend(Some("k1")).await;
    assert_eq!((status, &one["version"]), (201, &json!(1)));
    assert_ne!(one["id"], first["id"]);
    let (status, again) = resend(Some("k1")).await;
    assert_eq!((status, &again["id"]), (200, &one["id"]));
    let (status, other) = resend(None).await;
    assert_eq!(status, 201);
    assert_ne!(other["id"], one["id"]);
}

#[tokio::test]
async fn an_order_can_be_changed_and_cancelled_but_not_given_to_another_patient() {
    let api = Api::open().await;
    assert_eq!(api.order(&with(order("A1"), "action", "change".into())).await.0, 404);
    api.order(&order("A1")).await;
    let urgent = with(order("A1"), "priority", "urgent".into());
    assert_eq!(api.order(&urgent).await.1["code"], "use_change");
    assert_eq!(api.order(&with(urgent, "action", "change".into())).await.0, 200);
    let mut other = with(order("A1"), "action", "change".into());
    other["patient"]["local_id"] = json!("ZZ000999");
    let (status, body) = api.order(&other).await;
    assert_eq!((status, fields(&body)), (422, vec!["/patient/local_id"]));

    let cancel = json!({ "order_id": "A1", "site": "RIVERSIDE01", "action": "cancel" });
    let (status, body) = api.order(&cancel).await;
    assert_eq!((status, &body["state"]), (200, &json!("cancelled")));
    assert_eq!(api.order(&with(cancel, "order_id", "A2".into())).await.0, 404);
    let (status, body) = api.result(&result("A1", "final"), "one").await;
    assert_eq!((status, &body["state"], &body["warnings"][0]["code"]), (201, &json!("not_sent"), &json!("order_cancelled")));
}

#[tokio::test]
async fn a_client_may_be_set_to_have_unknown_fields_ignored() {
    let api = Api::open().await;
    let token = api.counter.store.create_token(api.counter.org, "lenient", true).await.unwrap();
    let odd = with(order("A1"), "colour", "blue".into());
    assert_eq!(api.order(&odd).await.0, 422);
    let request = api.client.post(format!("{}/v1/orders", api.url)).bearer_auth(&token).json(&odd);
    assert_eq!(answer(request).await.0, 201);
}

#[tokio::test]
async fn health_needs_no_token_and_a_store_that_is_gone_makes_it_unready_and_answers_503() {
    let api = Api::open().await;
    assert_eq!(answer(api.client.get(format!("{}/healthz", api.url))).await.0, 200);
    let ready = || api.client.get(format!("{}/readyz", api.url)).send();
    assert_eq!(ready().await.unwrap().status(), 200);
    api.counter.store.close().await;
    assert_eq!(ready().await.unwrap().status(), 503);
    let response = api.post("/v1/orders").json(&order("A1")).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
}
