//! A way to the hub that can be shut and opened again: the hub stays what it is, and cannot be reached.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub struct Gate {
    pub port: u16,
    target: u16,
    open: Option<JoinHandle<()>>,
}

impl Gate {
    /// An open gate to a port of this machine.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        Self { port, target, open: Some(tokio::spawn(forward(listener, target))) }
    }

    /// Refuses connections from now on, and cuts those that are there.
    pub async fn shut(&mut self) {
        let open = self.open.take().expect("the gate is open");
        open.abort();
        assert!(open.await.expect_err("it forwards for ever").is_cancelled());
    }

    /// Lets connections through again, at the same port.
    pub async fn open(&mut self) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option of sockets");
        socket.bind(address).expect("the port is still ours");
        self.open = Some(tokio::spawn(forward(socket.listen(64).expect("it is bound"), self.target)));
    }
}

async fn forward(listener: TcpListener, target: u16) {
    let mut streams = JoinSet::new();
    loop {
        let Ok((mut near, _)) = listener.accept().await else { continue };
        streams.spawn(async move {
            if let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await {
                // A cut connection is what this is for.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
