//! Clients that are slow on purpose, over real sockets: they take nothing away from the others.

use std::time::{Duration, Instant};

use postern::{
    config::web::WebSection,
    domain::time::Span,
    observe::health::Health,
    web::{Web, serve},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::support::counter::{Counter, base64, order, pdf, result, with};

struct Door {
    counter: Counter,
    address: String,
    token: String,
    stop: CancellationToken,
}

/// Short enough for a test, long enough for a busy machine.
fn settings() -> WebSection {
    let span = |millis| Span(Duration::from_millis(millis));
    WebSection {
        header_timeout: span(700),
        idle_timeout: span(30_000),
        upload_silence: span(1_500),
        uploads: 8,
        uploads_per_organization: 2,
        ..WebSection::default()
    }
}

/// What came back, read to the end of the connection.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Door {
    async fn open(settings: WebSection) -> Self {
        let counter = Counter::open().await;
        let token = counter.store.create_token(counter.org, "test", false).await.unwrap();
        let web = Web::new(&settings, counter.intake.clone(), Health::default(), None);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        tokio::spawn(serve(web, listener, stop.clone()));
        Self { counter, address, token, stop }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// Begins to upload an order of `length` octets and sends nothing of it yet.
    async fn begin(&self, token: &str, length: usize) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(head("POST /v1/orders", token, length).as_bytes()).await.unwrap();
        stream
    }

    /// Uploads an order at once and as a whole.
    async fn order(&self, token: &str, order_id: &str) -> Answer {
        let body = order(order_id).to_string();
        let mut stream = self.begin(token, body.len()).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        answer(stream).await
    }

    async fn other_token(&self) -> String {
        let other = self.counter.organization("south-clinics").await;
        self.counter.store.create_token(other, "test", false).await.unwrap()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn head(line: &str, token: &str, length: usize) -> String {
    format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

async fn answer(mut stream: TcpStream) -> Answer {
    let mut text = String::new();
    timeout(Duration::from_secs(20), stream.read_to_string(&mut text)).await.expect("an answer").unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: serde_json::from_str(body).unwrap_or_default() }
}

/// Sends octets one by one until the other side has had enough; how long that was.
async fn drip(mut stream: TcpStream, octets: &[u8]) -> Duration {
    let begun = Instant::now();
    for octet in octets.iter().cycle() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never had enough");
        let mut scrap = [0; 256];
        tokio::select! {
            read = stream.read(&mut scrap) => if !matches!(read, Ok(1..)) { return begun.elapsed() },
            () = sleep(Duration::from_millis(50)) => if stream.write_all(&[*octet]).await.is_err() { return begun.elapsed() },
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_with_slow_uploads_is_told_to_come_again_and_another_one_goes_on_working() {
    let door = Door::open(settings()).await;
    let other = door.other_token().await;
    let mut slow = Vec::new();
    // Far more of them than there are places in all.
    for _ in 0..40 {
        slow.push(door.begin(&door.token, 100_000).await);
    }
    sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    for n in 0..10 {
        assert_eq!(door.order(&other, &format!("B{n}")).await.status, 201);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "nobody else notices: {:?}", begun.elapsed());
    let refused = door.order(&door.token, "A1").await;
    assert_eq!((refused.status, &refused.body["code"]), (429, &"too_many_uploads".into()), "{}", refused.head);
    assert!(refused.head.contains("retry-after: ") && refused.head.contains("application/problem+json"), "{}", refused.head);
    drop(slow);
    let begun = Instant::now();
    while door.order(&door.token, "A1").await.status != 201 {
        assert!(begun.elapsed() < Duration::from_secs(20), "its places come free");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_stands_still_or_crawls_is_ended_with_408() {
    let door = Door::open(WebSection { upload_rate: 1_000, ..settings() }).await;
    let still = answer(door.begin(&door.token, 1_000).await).await;
    assert_eq!((still.status, &still.body["code"]), (408, &"timeout".into()));
    // 20 octets a second are no silence, and far too few.
    let took = drip(door.begin(&door.token, 100_000).await, b" ").await;
    assert!((Duration::from_secs(1)..Duration::from_secs(10)).contains(&took), "{took:?}");
    assert_eq!(door.order(&door.token, "A1").await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_comes_octet_by_octet_or_not_at_all_ends_the_connection() {
    let door = Door::open(settings()).await;
    let took = drip(door.connect().await, b"x-slow: x\r\n").await;
    assert!((Duration::from_millis(600)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let mut silent = door.connect().await;
    let begun = Instant::now();
    assert_eq!(timeout(Duration::from_secs(10), silent.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Between two requests there is more time.
    let mut kept = door.connect().await;
    for wait in [0, 1_200] {
        sleep(Duration::from_millis(wait)).await;
        kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let read = timeout(Duration::from_secs(5), kept.read(&mut [0; 2_000])).await.unwrap().unwrap();
        assert!(read > 0, "the connection was kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_body_of_who_shows_no_token_is_not_waited_for() {
    let door = Door::open(settings()).await;
    let begun = Instant::now();
    for token in ["pt_wrong", ""] {
        let refused = answer(door.begin(token, 10_000_000).await).await;
        assert_eq!(refused.status, 401);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // Whoever sends its body all the same hears why it is not wanted; nobody is cut off in the middle.
    let mut stream = door.begin("pt_wrong", 2_000_000).await;
    stream.write_all(&vec![b' '; 2_000_000]).await.unwrap();
    assert_eq!(answer(stream).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_says_that_it_is_too_large_is_refused_before_it_is_sent() {
    let door = Door::open(settings()).await;
    let begun = Instant::now();
    assert_eq!(answer(door.begin(&door.token, 12_000_001).await).await.status, 413);
    assert!(begun.elapsed() < Duration::from_secs(1));
    // One that does not say it is counted as it comes.
    let mut stream = door.connect().await;
    let head = head("POST /v1/orders", &door.token, 0).replace("content-length: 0", "transfer-encoding: chunked");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [format!("{:x}\r\n", 1_000_000).as_bytes(), &vec![b' '; 1_000_000], b"\r\n"].concat();
    for _ in 0..13 {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    assert_eq!(answer(stream).await.status, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn octets_in_flight_are_bounded_for_each_organization() {
    let few = WebSection {
        body_bytes: 300_000,
        uploads_per_organization: 8,
        upload_memory: 2_000_000,
        upload_memory_per_organization: 500_000,
        ..settings()
    };
    let door = Door::open(few).await;
    let other = door.other_token().await;
    let _large = [door.begin(&door.token, 200_000).await, door.begin(&door.token, 250_000).await];
    sleep(Duration::from_millis(200)).await;
    // A second wait of this length would find the large ones given up.
    let refused = timeout(Duration::from_secs(5), async { answer(door.begin(&door.token, 200_000).await).await }).await.unwrap();
    assert!([429, 408].contains(&refused.status), "{}", refused.head);
    assert_eq!(door.order(&other, "B1").await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_connections_are_taken_idle_ones_make_room() {
    let door = Door::open(WebSection { connections: 5, idle_timeout: Span::seconds(60), ..settings() }).await;
    let mut idle = Vec::new();
    for _ in 0..5 {
        let mut stream = door.connect().await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 2_000]).await.unwrap() > 0);
        idle.push(stream);
    }
    let begun = Instant::now();
    assert_eq!(door.order(&door.token, "A1").await.status, 201);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // And connections that say nothing at all are gone after the time a header may take.
    let _silent: Vec<_> = futures_util::future::join_all((0..20).map(|_| door.connect())).await;
    assert_eq!(door.order(&door.token, "A2").await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_runs_when_the_gateway_is_told_to_stop_is_finished() {
    let door = Door::open(settings()).await;
    let body = with(with(result("A1", "final"), "order", order("A1")), "pdf", base64(&pdf("one")).into()).to_string();
    let mut stream = door.connect().await;
    stream.write_all(head("POST /v1/results", &door.token, body.len()).as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..20]).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    door.stop.cancel();
    sleep(Duration::from_millis(200)).await;
    stream.write_all(&body.as_bytes()[20..]).await.unwrap();
    assert_eq!(answer(stream).await.status, 201);
    assert!(TcpStream::connect(&door.address).await.is_err(), "nobody new is let in");
}

/// How a form is sent that has no file in it.
const LINE: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// The head of a form of the page for signing in; `more` is further header lines.
fn form(more: &str) -> String {
    format!("POST /sign-in HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_holds_neither_much_memory_nor_a_connection_for_long() {
    let door = Door::open(settings()).await;
    let begin = async |more: &str| {
        let mut stream = door.connect().await;
        stream.write_all(form(more).as_bytes()).await.unwrap();
        stream
    };
    let begun = Instant::now();
    assert_eq!(answer(begin(&format!("{LINE}content-length: 16001\r\n")).await).await.status, 413);
    assert_eq!(
        answer(begin("content-type: multipart/form-data; boundary=b\r\ncontent-length: 9000000\r\n").await).await.status,
        415
    );
    assert!(begun.elapsed() < Duration::from_secs(1), "before any of it is sent");
    let mut endless = begin(&format!("{LINE}transfer-encoding: chunked\r\n")).await;
    for _ in 0..20 {
        if endless.write_all(format!("3e8\r\n{}\r\n", "x".repeat(1_000)).as_bytes()).await.is_err() {
            break;
        }
    }
    assert_eq!(answer(endless).await.status, 413, "counted as it comes");

    let still = answer(begin(&format!("{LINE}content-length: 9000\r\n")).await).await;
    assert_eq!(still.status, 408, "{}", still.head);
    let took = drip(begin(&format!("{LINE}content-length: 9000\r\n")).await, b"x").await;
    assert!((Duration::from_secs(1)..Duration::from_secs(10)).contains(&took), "it crawls: {took:?}");

    // The mark of a form in the header is no way round it.
    let mut page = door.connect().await;
    page.write_all(b"GET /sign-in HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    page.read_to_string(&mut text).await.unwrap();
    let after = |words: &str| text.split(words).nth(1).unwrap();
    let cookie = after("postern-visit=").split(';').next().unwrap();
    let mark = after("name=\"csrf\" value=\"").split('"').next().unwrap();
    let marked = format!("cookie: postern-visit={cookie}\r\nx-csrf-token: {mark}\r\n{LINE}");
    assert_eq!(answer(begin(&format!("{marked}content-length: 9000\r\n")).await).await.status, 408);
    assert_eq!(answer(begin(&format!("{marked}content-length: 16001\r\n")).await).await.status, 413);
    let mut whole = begin(&format!("{marked}content-length: 18\r\n")).await;
    whole.write_all(b"login=jo&password=").await.unwrap();
    assert_eq!(answer(whole).await.status, 422, "what comes in time is read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rosters_and_probes_come_at_the_same_pace_and_from_the_same_places() {
    let door = Door::open(settings()).await;
    let token = door.counter.store.create_token_with(door.counter.org, "steward", false, true).await.unwrap();
    let begin = async |line: &str, kind: &str| {
        let mut stream = door.connect().await;
        stream.write_all(head(line, &token, 100_000).replace("application/json", kind).as_bytes()).await.unwrap();
        stream
    };
    for (line, kind) in [("POST /v1/rosters", "text/csv"), ("POST /v1/probe", "application/json")] {
        let still = answer(begin(line, kind).await).await;
        assert_eq!((still.status, &still.body["code"]), (408, &"timeout".into()), "{line}");
        let _held = [begin(line, kind).await, begin(line, kind).await];
        sleep(Duration::from_millis(200)).await;
        let mut all = Vec::new();
        for _ in 0..6 {
            all.push(begin(line, kind).await);
        }
        let refused = futures_util::future::join_all(all.into_iter().map(answer)).await;
        assert!(
            refused.iter().any(|answer| answer.status == 429),
            "{line}: {:?}",
            refused.iter().map(|a| a.status).collect::<Vec<_>>()
        );
    }
}
