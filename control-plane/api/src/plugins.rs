//! ferry.v1.PluginService.

use crate::{
    convert::{names::invalid, plugin, request},
    errors::status,
    service::Service,
};
use proto::v1::{self, plugin_service_server::PluginService};
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(crate) struct Plugins {
    service: Arc<dyn Service>,
}

impl Plugins {
    pub(crate) fn new(service: Arc<dyn Service>) -> Self {
        Plugins { service }
    }
}

#[tonic::async_trait]
impl PluginService for Plugins {
    async fn list_plugins(
        &self,
        request: Request<v1::ListPluginsRequest>,
    ) -> Result<Response<v1::ListPluginsResponse>, Status> {
        let request = request.into_inner();
        let page = request::page(request.page_size, request.page_token).map_err(status)?;
        let page = self.service.list_plugins(page).await.map_err(status)?;
        Ok(Response::new(v1::ListPluginsResponse {
            plugins: page.items.into_iter().map(plugin::plugin).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn get_config_def(
        &self,
        request: Request<v1::GetConfigDefRequest>,
    ) -> Result<Response<v1::GetConfigDefResponse>, Status> {
        let name = request.into_inner().plugin;
        if name.is_empty() {
            return Err(status(invalid("plugin", "it is empty; give a plugin's class or alias")));
        }
        let (view, keys) = self.service.config_def(&name).await.map_err(status)?;
        Ok(Response::new(v1::GetConfigDefResponse {
            plugin: Some(plugin::plugin(view)),
            keys: keys.into_iter().map(plugin::key).collect(),
        }))
    }

    async fn validate_config(
        &self,
        request: Request<v1::ValidateConfigRequest>,
    ) -> Result<Response<v1::ValidateConfigResponse>, Status> {
        let request = request.into_inner();
        let named = Some(request.plugin.as_str()).filter(|plugin| !plugin.is_empty());
        let infos = self.service.validate_config(named, request.config).await.map_err(status)?;
        Ok(Response::new(plugin::validation(infos)))
    }
}
