//! Services that run, and those of them that tests hand on to one another: to start one takes longer than most
//! tests do.

use std::sync::{Mutex, MutexGuard};

use super::service::Service;
use super::site::Site;

/// Replicas of the service, and the place where they run.
#[derive(Debug)]
pub struct Deployment {
    // Dropped first: a service must not see its database go.
    pub services: Vec<Service>,
    pub site: Site,
}

impl Deployment {
    /// Starts so many replicas; returns once all of them are ready.
    pub async fn start(site: Site, replicas: usize) -> Self {
        let mut services = Vec::new();
        for _ in 0..replicas {
            services.push(site.start_service().await);
        }
        for service in &services {
            service.ready().await;
        }
        Self { services, site }
    }

    /// Ends it, and demands that it ends well.
    pub async fn stop(&mut self) {
        for service in &mut self.services {
            service.stop().await;
        }
    }
}

struct Pool {
    /// Left behind by tests that succeeded.
    idle: Vec<Deployment>,
    /// Tests that run now and use this pool.
    tests: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { idle: Vec::new(), tests: 0 });

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Held by a test that uses the pool. Nothing tells when all tests are done, so the pool is emptied whenever no
/// test uses it: in practice once, at the end.
#[derive(Debug)]
pub struct Lease(());

impl Lease {
    /// A deployment with the default settings, for one test at a time.
    pub async fn begin() -> (Self, Deployment) {
        let idle = {
            let mut pool = pool();
            pool.tests += 1;
            pool.idle.pop()
        };
        let lease = Self(());
        let deployment = match idle {
            Some(deployment) => deployment,
            None => Deployment::start(Site::shared().await, 1).await,
        };
        (lease, deployment)
    }

    /// Hands the deployment on to the next test; where there is none it is stopped.
    pub async fn end(self, deployment: Deployment) {
        let unused = {
            let mut pool = pool();
            pool.idle.push(deployment);
            if pool.tests == 1 { std::mem::take(&mut pool.idle) } else { Vec::new() }
        };
        for mut deployment in unused {
            deployment.stop().await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let unused = {
            let mut pool = pool();
            pool.tests -= 1;
            if pool.tests == 0 { std::mem::take(&mut pool.idle) } else { Vec::new() }
        };
        drop(unused);
    }
}
