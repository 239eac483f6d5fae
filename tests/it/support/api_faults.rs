//! An API server that does not always answer: calls of the operator that fail on demand, and what it called.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use http::{HeaderValue, Method, Request};
use tower::{BoxError, Layer, Service};

/// The calls that fail, shared with the client of the operator.
#[derive(Clone, Default)]
pub struct ApiFaults(Arc<Shared>);

#[derive(Default)]
struct Shared {
    faults: Mutex<Vec<Fault>>,
    /// What was called, oldest first.
    calls: Mutex<Vec<(Method, String)>>,
}

#[derive(Clone)]
struct Fault {
    method: Method,
    path: String,
    effect: Effect,
}

#[derive(Clone, Copy)]
enum Effect {
    Refused,
    AnswerLost,
    /// Asked as somebody who may do nothing.
    Forbidden,
}

impl ApiFaults {
    /// Calls with this method and this text in their path, at its end if it ends with `$`, are not carried out.
    pub fn refuse(&self, method: Method, path: &str) {
        self.add(method, path, Effect::Refused);
    }

    /// Such calls are made by a user who may do nothing, so that the API server forbids them in its own words.
    pub fn forbid(&self, method: Method, path: &str) {
        self.add(method, path, Effect::Forbidden);
    }

    /// Such calls are carried out, and their answers are lost.
    pub fn lose_answers(&self, method: Method, path: &str) {
        self.add(method, path, Effect::AnswerLost);
    }

    fn add(&self, method: Method, path: &str, effect: Effect) {
        self.faults().push(Fault { method, path: path.to_owned(), effect });
    }

    /// All is well again.
    pub fn mend(&self) {
        self.faults().clear();
    }

    /// The paths that were called with this method so far, whatever became of the calls.
    pub fn called(&self, method: Method) -> Vec<String> {
        let calls = self.0.calls.lock().expect("nobody panics holding it");
        calls.iter().filter(|(with, _)| *with == method).map(|(_, path)| path.clone()).collect()
    }

    fn faults(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.faults.lock().expect("nobody panics holding it")
    }

    fn of<B>(&self, request: &Request<B>) -> Option<Fault> {
        let call = (request.method().clone(), request.uri().path().to_owned());
        self.0.calls.lock().expect("nobody panics holding it").push(call);
        let faults = self.faults();
        let path = request.uri().path();
        let meant = |fault: &&Fault| {
            let end = fault.path.strip_suffix('$');
            fault.method == request.method()
                && end.map_or_else(|| path.contains(&fault.path), |end| path.ends_with(end))
        };
        faults.iter().find(meant).cloned()
    }
}

impl<S> Layer<S> for ApiFaults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty { inner, faults: self.clone() }
    }
}

pub struct Faulty<S> {
    inner: S,
    faults: ApiFaults,
}

impl<S, B> Service<Request<B>> for Faulty<S>
where
    S: Service<Request<B>, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let failed = || Err(BoxError::from("a fault that was asked for"));
        match self.faults.of(&request).map(|fault| fault.effect) {
            None => Box::pin(self.inner.call(request)),
            Some(Effect::Forbidden) => {
                request.headers_mut().insert("impersonate-user", HeaderValue::from_static("nobody"));
                Box::pin(self.inner.call(request))
            }
            Some(Effect::Refused) => Box::pin(ready(failed())),
            Some(Effect::AnswerLost) => {
                let call = self.inner.call(request);
                Box::pin(async move {
                    drop(call.await);
                    failed()
                })
            }
        }
    }
}
