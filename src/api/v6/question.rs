//! What is asked of the rollups. Equal questions have equal answers as long as nothing changes, so answers are kept by them
//! ([`crate::api::answers`]).

use actix_web::{HttpRequest, HttpResponse};

use super::{plot_data, totals};
use crate::access::Scope;
use crate::api::answer::Answer;
use crate::api::answers::Room;
use crate::api::{ApiError, State};
use crate::store::Snapshot;

/// Answers what a request asks of a state of the store, to whoever may read.
pub(super) async fn respond<Q: Into<Question>>(
    request: &HttpRequest,
    state: &State,
    ask: impl Fn(&Snapshot) -> Result<Q, ApiError>,
) -> Result<HttpResponse, ApiError> {
    state.allow(request, Scope::Read)?;
    let ask = || {
        let snapshot = state.store.snapshot()?;
        Ok((ask(&snapshot)?.into(), snapshot))
    };
    let answer = state.read(async || state.answers.answer(ask).await).await?;
    state.answers.send(request, answer).await
}

/// What a request means, however it was spelled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Values by bucket.
    PlotData(plot_data::Question),
    /// Values of a whole period.
    Totals(totals::Question),
}

impl Question {
    /// How much memory it takes, in bytes, about.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::PlotData(question) => question.memory(),
            Self::Totals(question) => question.memory(),
        }
    }

    /// Whether answering takes so little time that an async thread may do it.
    pub(crate) fn is_small(&self) -> bool {
        match self {
            Self::PlotData(question) => question.is_small(),
            Self::Totals(question) => question.is_small(),
        }
    }

    /// Computes the answer from the rollups.
    pub(crate) fn answer(&self, snapshot: &Snapshot, room: Room) -> Result<Answer, ApiError> {
        match self {
            Self::PlotData(question) => question.answer(snapshot, room),
            Self::Totals(question) => question.answer(snapshot, room),
        }
    }
}

impl From<plot_data::Question> for Question {
    fn from(question: plot_data::Question) -> Self {
        Self::PlotData(question)
    }
}

impl From<totals::Question> for Question {
    fn from(question: totals::Question) -> Self {
        Self::Totals(question)
    }
}
