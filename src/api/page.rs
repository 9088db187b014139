//! Pages of results, with links to the next page and the previous one.

use serde::Serialize;
use utoipa::ToSchema;

use super::ApiError;
use super::params::Params;

pub(crate) const DEFAULT_SIZE: usize = 100;
pub(crate) const MAX_SIZE: usize = 1000;

/// The page that a client requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PageRequest {
    /// The page number, from 1.
    pub(super) number: usize,
    pub(super) size: usize,
}

/// A page of results: how many there are, and where the others stand.
#[derive(Serialize, ToSchema)]
#[schema(as = Page)]
pub(super) struct Head {
    /// The number of results on all pages.
    count: usize,
    /// The URL of the next page; `null` on the last one.
    #[schema(format = "uri")]
    pub(super) next: Option<String>,
    /// The URL of the page before; `null` on the first one.
    #[schema(format = "uri")]
    pub(super) previous: Option<String>,
}

impl PageRequest {
    /// Parses `page` and `page_size`.
    pub(crate) fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let size = match params.one("page_size") {
            None => DEFAULT_SIZE,
            Some(text) => positive(text).map(|size| size.min(MAX_SIZE)).ok_or_else(|| {
                ApiError::parameter("page_size", text, format!("it must be an integer from 1 to {MAX_SIZE}"))
            })?,
        };
        let number = match params.one("page") {
            None => 1,
            Some(text) => positive(text).ok_or(ApiError::InvalidPage)?,
        };
        Ok(Self { number, size })
    }

    /// Returns the results on the page. A page after the last one is an error; page 1 of no results is empty.
    pub(crate) fn slice<T>(self, all: &[T]) -> Result<&[T], ApiError> {
        let start = (self.number - 1).saturating_mul(self.size);
        if self.number > 1 && start >= all.len() {
            return Err(ApiError::InvalidPage);
        }
        Ok(&all[start..all.len().min(start.saturating_add(self.size))])
    }

    /// Returns the JSON of a page up to its first result. The caller has to close the list and the page.
    pub(crate) fn opening(self, count: usize, links: impl FnOnce() -> Links) -> Vec<u8> {
        let mut json = serde_json::to_vec(&self.head(count, links)).expect("a head is plain texts and numbers");
        json.pop();
        json.extend_from_slice(br#","results":["#);
        json
    }

    /// Returns the fields of a page before its results.
    pub(super) fn head(self, count: usize, links: impl FnOnce() -> Links) -> Head {
        let has_next = self.number.saturating_mul(self.size) < count;
        let has_previous = self.number > 1;
        if !has_next && !has_previous {
            return Head { count, next: None, previous: None };
        }
        let links = links();
        Head {
            count,
            next: has_next.then(|| links.to(self.number + 1)),
            previous: has_previous.then(|| links.to(self.number - 1)),
        }
    }
}

/// Parses a positive integer. A number that is too large counts as the largest.
fn positive(text: &str) -> Option<usize> {
    let is_integer = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_integer { text.parse().unwrap_or(usize::MAX) } else { 0 };
    (number > 0).then_some(number)
}

/// Creates absolute links to the other pages of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Links {
    /// The absolute URL without its query.
    address: String,
    /// The parameters before the page number, as the client wrote them, each followed by `&`.
    before: String,
    /// The parameters after the page number, each preceded by `&`.
    behind: String,
}

impl Links {
    /// Creates links for the pages of a request to this address. The page number goes where the first one was.
    pub(crate) fn new(address: String, params: &Params<'_>) -> Self {
        let (mut before, mut behind, mut is_behind) = (String::new(), String::new(), false);
        for pair in params.pairs() {
            if pair.name == "page" {
                is_behind = true;
            } else if is_behind {
                behind.extend(["&", pair.raw]);
            } else {
                before.extend([pair.raw, "&"]);
            }
        }
        Self { address, before, behind }
    }

    /// The memory of the texts, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.address.len() + self.before.len() + self.behind.len()
    }

    fn to(&self, page: usize) -> String {
        let Self { address, before, behind } = self;
        let query = if page > 1 { format!("{before}page={page}{behind}") } else { without_page(before, behind) };
        if query.is_empty() { address.clone() } else { format!("{address}?{query}") }
    }
}

/// The query without a page number, from the parameters before and after it.
fn without_page(before: &str, behind: &str) -> String {
    let before = before.strip_suffix('&').unwrap_or(before);
    if before.is_empty() { behind.strip_prefix('&').unwrap_or(behind).to_owned() } else { format!("{before}{behind}") }
}
