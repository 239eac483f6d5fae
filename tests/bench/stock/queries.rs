//! Ask, tell.

use std::sync::Arc;

use hubtwin::api::TwinQuery;
use kube::runtime::controller::Action;
use serde_json::json;

use super::{Context, Error, patch_status};

pub(super) async fn reconcile(object: Arc<TwinQuery>, context: Arc<Context>) -> Result<Action, Error> {
    context.queries.take().await;
    let page = context.hub.query(&object.spec.query, 100, None).await?;
    let status = json!({"count": page.rows.len(), "itemType": page.item_type, "results": page.rows});
    patch_status(&context, &*object, status).await?;
    Ok(Action::requeue(object.spec.interval.get()))
}
