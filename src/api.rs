//! The Kubernetes kinds of group `hubtwin.dev`.
