//! Writes the status of a TwinQuery. Its rows are not kept in memory: a status that keeps them gets them from the object.

use kube::{Api, ResourceExt as _};

use super::super::status::{self, Write, WriteError};
use super::Subject;
use super::record::{Next, Rows};
use super::results::Shown;
use crate::api::{JsonObject, TwinQuery};

/// Writes the next status, unless it is the one that stands.
pub(super) async fn write(subject: &Subject<'_>, next: Next) -> Result<Write, WriteError> {
    let Next { mut status, rows } = next;
    let shown = match rows {
        Rows::Keep | Rows::None if status == subject.before => return Ok(Write::Done),
        Rows::Keep if subject.before.results_time.is_none() => None,
        Rows::Keep => {
            let Some(results) = stored(subject).await? else { return Ok(Write::Conflict) };
            status.results = results;
            None
        }
        Rows::None => Some(Shown::default()),
        Rows::New(results) => {
            status.results = Some(results.rows);
            Some(results.shown)
        }
    };
    let (context, query) = (subject.context, subject.query);
    let written = status::write(context, &context.written_queries, query, &subject.resource_version, &status).await?;
    if written == Write::Done {
        context.written_queries.keep(query, |status| status.results = None);
        let (_, version) = context.written_queries.newest(query, None);
        if let Some(shown) = shown {
            context.query_runs.show(&subject.uid, &version, Some(shown));
        }
    }
    Ok(written)
}

/// The rows as the API server has them; `None` when the object changed meanwhile, or is gone.
async fn stored(subject: &Subject<'_>) -> Result<Option<Option<Vec<JsonObject>>>, WriteError> {
    let (name, namespace) = (subject.query.name_any(), subject.query.namespace().unwrap_or_default());
    let api: Api<TwinQuery> = Api::namespaced(subject.context.client.clone(), &namespace);
    let found = status::bounded("the status", &name, api.get(&name)).await?;
    let same = found.filter(|found| found.resource_version().as_ref() == Some(&subject.resource_version));
    Ok(same.map(|found| found.status.unwrap_or_default().results))
}
