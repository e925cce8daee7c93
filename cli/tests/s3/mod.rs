//! An S3 server in the test's own process, on a free port of this machine, over a folder; it checks signatures, and can be held up or taken away.
//!
//! What must always hold: it serves nobody but who has its credentials; nothing of it outlives the test.
#![allow(dead_code)] // each test program uses a part of it

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s::{S3Result, s3_error};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub const ACCESS_KEY: &str = "AKIDEXAMPLEEXAMPLE";
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The server.
pub struct S3 {
    runtime: Option<Runtime>,
    address: SocketAddr,
    root: PathBuf,
    gate: Arc<Gate>,
}

/// What it has been asked for, and whether it lets objects be written.
#[derive(Default)]
struct Gate {
    holds_writes: AtomicBool,
    writes: AtomicUsize,
    /// Writes that are held up now, or were.
    held: AtomicUsize,
}

struct Watched(Arc<Gate>);

impl S3Access for Watched {
    fn check<'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        context: &'life1 mut S3AccessContext<'life2>,
    ) -> Pin<Box<dyn Future<Output = S3Result<()>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        Self: 'async_trait,
    {
        let may = context.credentials().is_some();
        let writes = context.s3_op().name() == "PutObject";
        Box::pin(async move {
            if !may {
                return Err(s3_error!(AccessDenied, "nobody may without credentials"));
            }
            if writes {
                self.0.writes.fetch_add(1, Ordering::SeqCst);
                if self.0.holds_writes.load(Ordering::SeqCst) {
                    self.0.held.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
            }
            Ok(())
        })
    }
}

impl S3 {
    /// Starts it with one bucket.
    pub fn start(root: &Path, bucket: &str) -> Self {
        std::fs::create_dir_all(root.join(bucket)).unwrap();
        let gate = Arc::new(Gate::default());
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        service.set_access(Watched(Arc::clone(&gate)));
        let service = service.build();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (listens, address) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            listens.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    // A client that hangs up is none of the server's business.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let address = address.recv().unwrap();
        Self { runtime: Some(runtime), address, root: root.to_owned(), gate }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes it away: its port answers nobody any more.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        while std::net::TcpStream::connect(self.address).is_ok() {
            std::thread::yield_now();
        }
    }

    /// From now on whoever writes an object waits for an answer, or no longer.
    pub fn hold_writes(&self, holds: bool) {
        self.gate.holds_writes.store(holds, Ordering::SeqCst);
    }

    /// How many writes were ever held up.
    pub fn held(&self) -> usize {
        self.gate.held.load(Ordering::SeqCst)
    }

    /// How many objects were ever written, or were to be.
    pub fn writes(&self) -> usize {
        self.gate.writes.load(Ordering::SeqCst)
    }

    /// The files of all objects whose names begin so, in a bucket.
    pub fn objects(&self, begins: &str) -> Vec<PathBuf> {
        let mut files = self.files();
        files.retain(|file| file.strip_prefix(&self.root).unwrap().to_str().unwrap().starts_with(begins));
        files
    }

    /// Every file that the server keeps, its notes of objects included.
    pub fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // A runtime may not be waited for where the test is one itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
