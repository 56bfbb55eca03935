//! The socket below a connection, to be ended from here: where nobody answers the client keeps it, and a thread, for ever.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::runtime::default_runtime;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};
use tokio::time::timeout;

/// A handle of the socket of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Socket(Arc<Mutex<Option<TcpStream>>>);

impl Socket {
    /// Makes the connection on this socket, which is open within the limit or not at all.
    pub(super) async fn connect(
        &self,
        uri: AMQPUri,
        properties: ConnectionProperties,
        certificates: OwnedTLSConfig,
        limit: Duration,
    ) -> Result<Connection, lapin::Error> {
        let socket = self.clone();
        let runtime = default_runtime()?;
        Connection::connector(
            uri,
            runtime,
            async move |uri, runtime| {
                let opening = async {
                    let AMQPUri { scheme, authority, .. } = uri;
                    let address = runtime.to_socket_addrs((authority.host.clone(), authority.port));
                    let stream = AsyncTcpStream::connect(&runtime, address).await?;
                    if let AsyncTcpStream::Plain(plain) = &stream {
                        socket.keep(plain.get_ref())?;
                    }
                    match scheme {
                        AMQPScheme::AMQP => Ok(stream),
                        AMQPScheme::AMQPS => stream.into_tls(&authority.host, certificates.as_ref()).await,
                    }
                };
                let opened = timeout(limit, opening).await;
                Ok(opened.unwrap_or_else(|elapsed| Err(elapsed.into()))?)
            },
            properties,
        )
        .await
    }

    fn keep(&self, stream: &impl AsFd) -> io::Result<()> {
        let stream = TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
        Ok(())
    }

    /// Leaves it to the client, which ends it.
    pub(super) fn leave(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<TcpStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends it: whoever still reads or writes is told so.
    pub(super) fn shut(&self) {
        if let Some(stream) = self.take() {
            // Where this fails it has ended already, which is what is wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
