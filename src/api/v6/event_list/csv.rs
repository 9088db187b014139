//! A page of events as CSV.

use super::view::EventView;
use crate::catalog::Observed;

/// Returns a line for each event, with a header: what it is, the choice and the error by id and title, and the measures.
pub(super) fn write(events: &[EventView<'_>], observed: &[Observed]) -> Vec<u8> {
    let mut header = "kind,id,status,ended,choice_id,choice_title,error_id,error_title".to_owned();
    for measure in observed {
        header.extend([",", measure.name]);
    }
    let mut lines = header.into_bytes();
    lines.push(b'\n');
    for event in events {
        let EventView { kind, id, status, ended, choice, error, measures, .. } = event;
        let (error_id, error_title) = error.as_ref().map(|it| (it.id.get().to_string(), it.title)).unwrap_or_default();
        let (title, choice) = (field(choice.title), choice.id.get());
        let line = format!("{kind},{id},{status},{ended},{choice},{title},{error_id},{}", field(error_title));
        lines.extend_from_slice(line.as_bytes());
        for (_, value) in measures.values() {
            lines.push(b',');
            lines.extend_from_slice(value.map(|value| value.to_string()).unwrap_or_default().as_bytes());
        }
        lines.push(b'\n');
    }
    lines
}

/// A text as a field, in quotes if it needs them.
pub(in crate::api::v6) fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
