//! An answer of the app, and assertions about it.

use reqwest::header::HeaderMap;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    #[expect(clippy::disallowed_methods, reason = "our own app's answers are short")]
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            headers,
            body: response.text().await.unwrap_or_default(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    pub fn location(&self) -> &str {
        self.header("location")
    }

    /// The `Set-Cookie` lines whose cookie has this name, or begins with it.
    pub fn cookies(&self, name: &str) -> Vec<&str> {
        let lines = self
            .headers
            .get_all("set-cookie")
            .iter()
            .map(|line| line.to_str().unwrap());
        lines.filter(|line| line.starts_with(name)).collect()
    }

    /// The mint addresses on a page of NFTs.
    #[allow(dead_code, reason = "an app may be made without these pages")]
    pub fn mint_addresses(&self) -> Vec<String> {
        let marks = self.body.split("href=\"/account/nfts/");
        let address = |rest: &str| rest.split_once('"').unwrap().0.to_owned();
        marks.skip(1).map(address).collect()
    }

    #[track_caller]
    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "body: {}", self.body);
        self
    }

    #[track_caller]
    pub fn assert_redirect(self, to: &str) -> Self {
        assert_eq!(
            (self.status, self.location()),
            (303, to),
            "body: {}",
            self.body
        );
        self
    }

    /// A refusal on the sign-in page for this reason, with a reference.
    #[track_caller]
    pub fn assert_refused(self, reason: &str) -> Self {
        assert_eq!(self.status, 303, "body: {}", self.body);
        let expected = format!("/login?e={reason}&ref=");
        assert!(
            self.location().starts_with(&expected),
            "went to {} instead of {expected}…",
            self.location()
        );
        self
    }

    #[track_caller]
    pub fn assert_contains(self, text: &str) -> Self {
        assert!(self.body.contains(text), "no {text:?} in {}", self.body);
        self
    }
}
