//! Adapts the SQL engine to the query service, which does not know it.

use std::sync::Arc;

use async_trait::async_trait;
use daymark_model::{Refusal, TenantId};
use daymark_query::{SqlAnswer, SqlEngine, SqlFormat, SqlRequest};
use daymark_store::Reader;

pub(crate) struct Engine(daymark_sql::SqlEngine);

impl Engine {
    /// # Errors
    /// When the engine cannot be set up.
    pub(crate) fn new(reader: Arc<Reader>, timeout_ms: u64) -> anyhow::Result<Engine> {
        let options = daymark_sql::SqlOptions { timeout_ms, ..daymark_sql::SqlOptions::default() };
        Ok(Engine(daymark_sql::SqlEngine::new(options, reader)?))
    }
}

#[async_trait]
impl SqlEngine for Engine {
    async fn run(&self, tenant: &TenantId, request: SqlRequest) -> Result<SqlAnswer, Refusal> {
        let format = match request.format {
            SqlFormat::Json => daymark_sql::Format::Json,
            SqlFormat::Csv => daymark_sql::Format::Csv,
            SqlFormat::Table => daymark_sql::Format::Table,
        };
        let answer = self.0.run(tenant, &request.query, format).await?;
        Ok(SqlAnswer { text: answer.text.into(), receipt: answer.receipt })
    }
}
