//! One POST and what became of it.

use std::time::Duration;

use super::{SigningSecret, sign::seconds, sign::sign};
use crate::{
    domain::Timestamp,
    net::{
        address::Guard,
        fetch::{FetchRules, Fetcher},
    },
};

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// Where to.
    pub url: &'a str,
    /// `webhook-id`: the same however often it is sent, so that the other end can tell a repeat. Without full stops.
    pub id: &'a str,
    /// When this attempt is made.
    pub at: Timestamp,
    /// JSON.
    pub body: &'a [u8],
    /// Every secret the other end may know, the newest first.
    pub secrets: &'a [SigningSecret],
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 2xx: the other end has it.
    Taken,
    /// 410: the other end wants nothing more, ever.
    Gone,
    /// It did not take it now.
    NotNow {
        /// One sentence; holds nothing the other end has written.
        why: String,
        /// How long it asked to be left alone (429, 503).
        wait: Option<Duration>,
    },
}

/// The rules under which other people's URLs are posted to: short, no redirects, nobody inside our own network except
/// `guard` allows it, and the status is all we want to know.
#[must_use]
pub fn rules(guard: Guard, allow_http: bool, timeout: Duration) -> FetchRules {
    FetchRules {
        allow_http,
        guard,
        max_bytes: 16 << 10,
        status_is_enough: true,
        connect_timeout: timeout.min(Duration::from_secs(10)),
        timeout,
        ..FetchRules::default()
    }
}

/// Signs and sends, once. `fetcher` goes by [`rules`].
pub async fn post(fetcher: &Fetcher, post: Post<'_>) -> Answer {
    let not_now = |why: String| Answer::NotNow { why, wait: None };
    let signature = match sign(post.secrets, post.id, post.at, post.body) {
        Ok(signature) if !signature.is_empty() => signature,
        // Unsigned it would teach the other end to believe anybody.
        Ok(_) => return not_now("there is no secret to sign with".to_owned()),
        Err(error) => return not_now(error.to_string()),
    };
    let stamp = seconds(post.at).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("webhook-id", post.id),
        ("webhook-timestamp", &stamp),
        ("webhook-signature", &signature),
    ];
    match fetcher.post(post.url, &headers, post.body.to_vec()).await {
        Ok(answer) if answer.is_success() => Answer::Taken,
        Ok(answer) if answer.status == 410 => Answer::Gone,
        Ok(answer) => {
            let wait = answer.retry_after.filter(|_| matches!(answer.status, 429 | 503));
            let hint = match answer.status {
                300..=399 => ": redirects are not followed, put the final address into the organization file",
                401 | 403 => ": it does not believe us; does it know the secret?",
                404 | 405 => ": is the address right?",
                _ => "",
            };
            Answer::NotNow { why: format!("answered {}{hint}", answer.status), wait }
        }
        Err(error) => not_now(crate::observe::chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with `answer`, in pieces, and closes; gives back what it was sent.
    async fn ask(answer: &'static [&'static [u8]], guard: Guard, allow_private: bool) -> (Answer, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let Ok((mut tcp, _)) = listener.accept().await else { return String::new() };
            let mut request = vec![0; 4_000];
            let n = tcp.read(&mut request).await.unwrap();
            for piece in answer {
                let _ = tcp.write_all(piece).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            String::from_utf8_lossy(&request[..n]).into_owned()
        });
        let rules = FetchRules { allow_private, ..rules(guard, true, Duration::from_millis(500)) };
        let fetcher = Fetcher::new(rules).unwrap();
        let secrets = [SigningSecret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()];
        let it = Post { url: &url, id: "0199-id", at: Timestamp(7_000_000), body: b"{}", secrets: &secrets };
        let answer = post(&fetcher, it).await;
        let request = tokio::time::timeout(Duration::from_secs(1), server).await;
        (answer, request.map_or_else(|_| String::new(), |request| request.unwrap_or_default()))
    }

    #[tokio::test]
    async fn what_is_sent_carries_its_id_its_time_and_its_signature() {
        let (answer, request) = ask(&[b"HTTP/1.1 204 No Content\r\n\r\n"], Guard::default(), true).await;
        assert_eq!(answer, Answer::Taken);
        for part in ["POST /in HTTP/1.1", "webhook-id: 0199-id", "webhook-timestamp: 7\r\n", "webhook-signature: v1,"] {
            assert!(request.contains(part), "{part} in {request}");
        }
    }

    #[tokio::test]
    async fn each_answer_means_what_the_standard_says() {
        let gone = ask(&[b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"], Guard::default(), true).await.0;
        assert_eq!(gone, Answer::Gone);
        let busy = ask(&[b"HTTP/1.1 503 X\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n"], Guard::default(), true).await.0;
        assert!(matches!(busy, Answer::NotNow { wait: Some(wait), .. } if wait.as_secs() == 30), "{busy:?}");
        let moved: &[&[u8]] = &[b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"];
        let moved = ask(moved, Guard::default(), true).await.0;
        assert!(matches!(&moved, Answer::NotNow { why, .. } if why.contains("302")), "{moved:?}");
    }

    #[tokio::test]
    async fn a_2xx_counts_whatever_comes_after_it() {
        let endless: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n", &[b'x'; 60_000], &[b'x'; 60_000]];
        assert_eq!(ask(endless, Guard::default(), true).await.0, Answer::Taken);
        let cut: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"];
        assert_eq!(ask(cut, Guard::default(), true).await.0, Answer::Taken);
    }

    #[tokio::test]
    async fn nobody_inside_our_own_network_is_posted_to() {
        let (answer, _) = ask(&[b"HTTP/1.1 200 OK\r\n\r\n"], Guard::default(), false).await;
        assert!(matches!(&answer, Answer::NotNow { why, .. } if why.contains("private")), "{answer:?}");
    }
}
