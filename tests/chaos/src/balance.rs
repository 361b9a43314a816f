//! A load balancer before the orchestrators: each connection goes to the next of them that takes it.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Serves until the runtime ends.
pub async fn balance(listener: TcpListener, servers: Vec<SocketAddr>) {
    for turn in 0.. {
        let Ok((mut client, _)) = listener.accept().await else { continue };
        let servers: Vec<_> = (0..servers.len()).map(|next| servers[(turn + next) % servers.len()]).collect();
        tokio::spawn(async move {
            for server in servers {
                let connecting = TcpStream::connect(server);
                if let Ok(Ok(mut server)) = tokio::time::timeout(Duration::from_secs(1), connecting).await {
                    // Either side may break off.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}
