//! All errors of requests, and the mapping of each to a status and a body.

use std::num::NonZeroU64;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Denied;
use crate::events::request::Invalid;
use crate::events::wire::{MAX_PROBLEMS, NotJson, Problem};
use crate::memory::Full;
use crate::picture::Impossible;
use crate::store::{RowsError, StoreError};
use crate::telemetry::chain;
use crate::time::Date;
use crate::worker::{Stopping, WriteFailed};

/// Why a request was refused.
#[derive(Serialize, ToSchema)]
pub(super) struct Refusal {
    /// What was wrong, for people.
    pub(super) detail: String,
}

/// Why a request was refused whose body is JSON.
#[derive(Serialize, ToSchema)]
pub(super) struct InvalidEvents<'a> {
    /// How many objects are wrong, for people.
    detail: String,
    /// What is wrong, in the order of the objects; at most 100 problems.
    #[schema(min_items = 1, max_items = 100)]
    errors: Vec<ErrorView<'a>>,
}

/// One problem of one object.
#[derive(Serialize, ToSchema)]
#[schema(as = EventProblem)]
struct ErrorView<'a> {
    /// Which object, counted from 0.
    index: usize,
    /// Which of its fields; `null` where the object as a whole is wrong.
    field: Option<&'a str>,
    /// What is wrong with it, for people.
    detail: &'a str,
}

// The attribute above cannot use the constant.
const _: () = assert!(MAX_PROBLEMS == 100);

impl<'a> ErrorView<'a> {
    fn new(index: usize, problem: &'a Problem) -> Self {
        Self { index, field: problem.field.as_deref(), detail: &problem.detail }
    }
}

/// How many bytes of a value a refusal shows.
pub(super) const SHOWN_BYTES: usize = 1_000;

/// How many seconds a client should wait before it tries again (`Retry-After`).
const RETRY_AFTER_S: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Names the parameter, the value and what is allowed.
    #[error("Parameter {name} is {value:?}; {allowed}.")]
    BadParameter { name: String, value: String, allowed: String },
    /// An unknown name that is easily mistaken for the name of a parameter.
    #[error("There is no parameter {name}. Did you mean {meant}?")]
    NearMiss { name: String, meant: &'static str },
    #[error("Invalid page.")]
    InvalidPage,
    #[error("Not found.")]
    NotFound,
    #[error("Method \"{0}\" not allowed.")]
    MethodNotAllowed(Method),
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The request comes from a web page that may not write.
    #[error(
        "a page of the origin {0:?} may not write (hint: server.cors_origins lists the origins that may; programs send no Origin)"
    )]
    ForeignOrigin(String),
    /// The request uses a host name that anybody may have pointed at the server.
    #[error(
        "without tokens nobody may write by the host name {0:?} (hint: ask for 127.0.0.1 or localhost, or have the proxy do so; \
         configure access.tokens; or set server.allow_open_writes = true)"
    )]
    ForeignHost(String),
    #[error(transparent)]
    NotJson(#[from] NotJson),
    #[error("the body cannot be read: {0}")]
    BadBody(String),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("the body did not arrive within {0} seconds")]
    BodyTimeout(u64),
    #[error("the body arrived with fewer than {0} bytes a second")]
    BodyTooSlow(NonZeroU64),
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    #[error("{0}")]
    UnsupportedMedia(String),
    #[error(
        "the answer would take more than {0} bytes; ask for a shorter time, fewer choices or fewer columns at once \
         (column, group, page_size)"
    )]
    AnswerTooLarge(usize),
    #[error(
        "more than {0} events would have to be read (api.events_scanned); ask for a shorter time, fewer choices or one kind, or leave out \
         what rollups cannot count: bounds of a measure, and an order by one"
    )]
    ManyEvents(u64),
    #[error("there are more than {0} groups; ask for a shorter time, fewer choices, or by something else")]
    ManyGroups(usize),
    #[error("events that ended before {0} are no longer kept; ask for started={0}T00:00:00Z or later")]
    EventsForgotten(Date),
    #[error("as many large answers are being computed as may be at once; try again")]
    Busy,
    #[error(
        "the answer was not computed within {0} seconds; ask for a shorter time, fewer choices or fewer columns at once \
         (column, group, page_size), or try again when the server has less to do"
    )]
    AnswerTimeout(u64),
    #[error("the connection was closed while the answer was being computed; keep it open until the answer is there")]
    ClientGone,
    /// The error of an answer that several requests wait for.
    #[error(transparent)]
    Shared(#[from] Arc<Self>),
    #[error(transparent)]
    Picture(#[from] Impossible),
    #[error("too many exports run already; try again")]
    ManyExports,
    #[error("another rebuild runs already; try again when it is done")]
    RebuildRuns,
    #[error(transparent)]
    Full(#[from] Full),
    #[error(transparent)]
    Stopping(#[from] Stopping),
    #[error(transparent)]
    WriteFailed(#[from] WriteFailed),
    /// The database failed, and will be opened again.
    #[error("{}; try again", unreadable(.0))]
    Unreadable(#[source] Arc<StoreError>),
    /// The copy that an export needs cannot be written.
    #[error("no copy of the events can be written beside the database at the moment; try again")]
    NoCopy(#[source] Arc<StoreError>),
    #[error("internal error")]
    Store(#[source] Arc<StoreError>),
    #[error("internal error")]
    Internal,
}

/// Why the database cannot be read, as far as clients may know.
fn unreadable(error: &StoreError) -> &'static str {
    if matches!(error, StoreError::Upgrading) {
        "the database is being upgraded to a new format"
    } else {
        "the database cannot be read at the moment"
    }
}

impl ApiError {
    /// Creates an error that names the parameter, the value or the beginning of a long one, and the allowed values.
    pub(crate) fn parameter(name: &str, value: &str, allowed: impl Into<String>) -> Self {
        let shown = &value[..value.floor_char_boundary(SHOWN_BYTES)];
        let value = if shown.len() < value.len() { format!("{shown}…") } else { value.to_owned() };
        Self::BadParameter { name: name.to_owned(), value, allowed: allowed.into() }
    }

    /// Whether the database caused the error, so that it passes when the database is open again.
    pub(crate) fn may_pass(&self) -> bool {
        if let Self::Shared(error) = self {
            return error.may_pass();
        }
        let Self::Unreadable(error) = self else { return false };
        !matches!(**error, StoreError::Rows(RowsError::Displaced(_)) | StoreError::OtherFormat { .. })
    }

    /// Whether another request would be answered: the mistake is in this one.
    pub(crate) fn is_mistake_of_request(&self) -> bool {
        self.status_code() == StatusCode::BAD_REQUEST
    }

    /// The text for the log, which has more detail than the client gets.
    pub(crate) fn cause(&self) -> String {
        if let Self::Shared(error) = self {
            error.cause()
        } else if let Self::Unreadable(error) | Self::NoCopy(error) | Self::Store(error) = self {
            chain(error)
        } else {
            self.to_string()
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<StoreError>> for ApiError {
    fn from(error: Arc<StoreError>) -> Self {
        match *error {
            StoreError::Rows(_)
            | StoreError::OtherFormat { .. }
            | StoreError::Upgrading
            | StoreError::EarlierFormat
            | StoreError::CannotUpgrade(_) => Self::Unreadable(error),
            StoreError::NoCopy { .. } => Self::NoCopy(error),
            StoreError::Copy(_) | StoreError::Corrupt(_) => Self::Store(error),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Shared(error) => error.status_code(),
            Self::BadParameter { .. }
            | Self::NearMiss { .. }
            | Self::NotJson(_)
            | Self::BadBody(_)
            | Self::Invalid(_)
            | Self::Picture(_)
            | Self::AnswerTooLarge(_)
            | Self::ManyEvents(_)
            | Self::ManyGroups(_)
            | Self::EventsForgotten(_) => StatusCode::BAD_REQUEST,
            Self::InvalidPage | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Denied(Denied::NoToken) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denied::NoScope(_)) | Self::ForeignOrigin(_) | Self::ForeignHost(_) => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout(_) | Self::BodyTooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMedia(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::ManyExports
            | Self::Busy
            | Self::AnswerTimeout(_)
            | Self::ClientGone
            | Self::RebuildRuns
            | Self::Full(_)
            | Self::Stopping(Stopping)
            | Self::Unreadable(_)
            | Self::NoCopy(_)
            | Self::WriteFailed(WriteFailed::Unavailable | WriteFailed::Overtaken) => StatusCode::SERVICE_UNAVAILABLE,
            Self::WriteFailed(WriteFailed::Internal) | Self::Store(_) | Self::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    fn error_response(&self) -> HttpResponse {
        // The log has the cause; the client sees no internals.
        let detail = self.to_string();
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_S));
        }
        if status == StatusCode::REQUEST_TIMEOUT {
            // The next bytes of the connection still belong to the body.
            response.force_close();
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Self::Invalid(invalid) = self {
            let errors = invalid.problems.iter().map(|(index, problem)| ErrorView::new(*index, problem)).collect();
            response.json(InvalidEvents { detail, errors })
        } else {
            response.json(Refusal { detail })
        }
    }
}
