//! Calls within the budget: the calls of a [`Client`], each of which says what it is for and for whom.

use std::time::Instant;

use super::budget::Class;
use super::client::{Client, Continuation, IfMatch, Page, TwinPatch};
use super::error::Error;
use super::wire::Identity;
use crate::twin::id::TwinId;
use crate::twin::view::Twin;

/// Makes calls of one class for one namespace. Each call waits until the budget has room for it.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "the budget that reads the class and the namespace comes next")]
pub struct Caller<'a> {
    client: &'a Client,
    class: Class,
    namespace: &'a str,
}

/// Whether work may start that needs a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Its call would hardly wait.
    Now,
    /// Not yet: ask again then.
    At(Instant),
}

impl<'a> Caller<'a> {
    /// A caller by this client.
    #[must_use]
    pub fn new(client: &'a Client, class: Class, namespace: &'a str) -> Self {
        Self { client, class, namespace }
    }

    /// [`Client::get_twin`].
    ///
    /// # Errors
    ///
    /// See [`super::Kind`].
    pub async fn get_twin(&self, id: &TwinId) -> Result<Twin, Error> {
        self.client.get_twin(id).await
    }

    /// [`Client::patch_twin`].
    ///
    /// # Errors
    ///
    /// See [`super::Kind`].
    pub async fn patch_twin(&self, id: &TwinId, patch: &TwinPatch, if_match: IfMatch<'_>) -> Result<Twin, Error> {
        self.client.patch_twin(id, patch, if_match).await
    }

    /// [`Client::query`].
    ///
    /// # Errors
    ///
    /// See [`super::Kind`].
    pub async fn query(&self, query: &str, page_size: u32, continuation: Option<&Continuation>) -> Result<Page, Error> {
        self.client.query(query, page_size, continuation).await
    }

    /// [`Client::create_identity`].
    ///
    /// # Errors
    ///
    /// See [`super::Kind`].
    pub async fn create_identity(&self, id: &TwinId) -> Result<Identity, Error> {
        self.client.create_identity(id).await
    }
}
