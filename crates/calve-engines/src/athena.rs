//! SQL in Amazon Athena.

use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::config::http::HttpResponse;
use aws_sdk_athena::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_athena::types::{
    AthenaError, QueryExecution, QueryExecutionContext, QueryExecutionState,
    QueryExecutionStatistics, ResultConfiguration, ResultSetMetadata, Row,
};
use calve_base::Properties;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, sleep};

use crate::{Error, Result};

/// How long a query may take unless told otherwise: as long as Athena itself lets one run by default.
pub const DEFAULT_QUERY_TIMEOUT: Duration = Duration::from_mins(30);

const ENGINE: &str = "Athena";

/// How often a request that may be repeated is sent at most, with growing pauses.
const REQUEST_ATTEMPTS: u32 = 10;

/// How often a query is started at most that failed in a way that may not last.
const QUERY_ATTEMPTS: u32 = 3;

/// The pauses between two looks at a query that runs grow from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long a query that is dropped keeps its thread, to be cancelled.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);

/// Where and how queries run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AthenaOptions {
    /// The workgroup; the account's `primary` one where none is named.
    pub workgroup: Option<String>,
    /// Where Athena writes results, as `s3://bucket/prefix/`; the workgroup's own place where none is named.
    pub output_location: Option<String>,
    /// The data catalog; `AwsDataCatalog` where none is named.
    pub data_catalog: Option<String>,
    /// The database that tables without one are looked up in.
    pub database: Option<String>,
    /// After how long a query is cancelled.
    pub timeout: Duration,
}

impl Default for AthenaOptions {
    fn default() -> Self {
        Self {
            workgroup: None,
            output_location: None,
            data_catalog: None,
            database: None,
            timeout: DEFAULT_QUERY_TIMEOUT,
        }
    }
}

/// What a query answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AthenaResult {
    /// The query's id.
    pub query_id: String,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The values as Athena writes them; `None` is null.
    pub rows: Vec<Vec<Option<String>>>,
    /// How many bytes were read, which is what a query costs by.
    pub scanned_bytes: Option<u64>,
}

/// A connection to Athena.
#[derive(Debug, Clone)]
pub struct Athena {
    client: Client,
    options: AthenaOptions,
}

impl Athena {
    /// Reads from a catalog's properties (`athena.…`, `client.…`, `glue.…`) how Athena is reached. Nothing is
    /// sent yet.
    ///
    /// # Errors
    /// When a property is wrong, or nothing tells the region.
    pub async fn connect(
        catalog: &str,
        properties: &Properties,
        options: AthenaOptions,
    ) -> Result<Self> {
        let config =
            calve_catalog::sdk_config(catalog, "athena", properties, REQUEST_ATTEMPTS).await?;
        Ok(Self {
            client: Client::new(&config),
            options,
        })
    }

    /// Runs a query to its end, and reads all that it answers. It is started again where it failed in a way
    /// that may not last, and cancelled when this future is dropped or the time is over.
    ///
    /// # Errors
    /// When Athena is not reached or refuses, and when the query fails, is cancelled or takes too long.
    pub async fn query(&self, sql: &str) -> Result<AthenaResult> {
        let deadline = Instant::now() + self.options.timeout;
        let mut pause = FIRST_PAUSE;
        for _ in 1..QUERY_ATTEMPTS {
            match self.attempt(sql, deadline).await {
                Err(Error::Failed {
                    is_retryable: true,
                    reason,
                    query_id,
                    ..
                }) => {
                    tracing::warn!(query_id, reason, "the query is started again");
                    sleep(pause).await;
                    pause = longer(pause);
                }
                other => return other,
            }
        }
        self.attempt(sql, deadline).await
    }

    async fn attempt(&self, sql: &str, deadline: Instant) -> Result<AthenaResult> {
        let running = self.start(sql).await?;
        let execution = self.wait(&running, deadline).await?;
        let statistics = execution.statistics();
        let scanned = statistics.and_then(QueryExecutionStatistics::data_scanned_in_bytes);
        let mut result = AthenaResult {
            query_id: running.query_id.clone(),
            scanned_bytes: scanned.and_then(|bytes| u64::try_from(bytes).ok()),
            ..AthenaResult::default()
        };
        self.read(&mut result).await?;
        Ok(result)
    }

    async fn start(&self, sql: &str) -> Result<Running> {
        let options = &self.options;
        let context = QueryExecutionContext::builder()
            .set_catalog(options.data_catalog.clone())
            .set_database(options.database.clone())
            .build();
        let results = options.output_location.as_ref().map(|location| {
            ResultConfiguration::builder()
                .output_location(location)
                .build()
        });
        // The client adds a token, by which Athena knows a request that it has seen.
        let answer = self
            .client
            .start_query_execution()
            .query_string(sql)
            .query_execution_context(context)
            .set_result_configuration(results)
            .set_work_group(options.workgroup.clone())
            .send()
            .await
            .map_err(|error| failed("start a query", &error))?;
        Ok(Running {
            client: self.client.clone(),
            query_id: answer.query_execution_id().unwrap_or_default().to_owned(),
            is_over: false.into(),
        })
    }

    /// Waits for the end of a query.
    async fn wait(&self, running: &Running, deadline: Instant) -> Result<QueryExecution> {
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self
                .client
                .get_query_execution()
                .query_execution_id(&running.query_id)
                .send()
                .await
                .map_err(|error| failed("look at a query", &error))?;
            let execution = answer.query_execution().cloned();
            let state = execution.as_ref().and_then(|it| it.status()?.state());
            match (state, &execution) {
                (Some(QueryExecutionState::Succeeded), Some(execution)) => {
                    running.is_over();
                    return Ok(execution.clone());
                }
                (Some(QueryExecutionState::Failed), Some(execution)) => {
                    running.is_over();
                    return Err(failed_query(&running.query_id, execution));
                }
                (Some(QueryExecutionState::Cancelled), _) => {
                    running.is_over();
                    return Err(Error::Cancelled {
                        engine: ENGINE,
                        query_id: running.query_id.clone(),
                    });
                }
                _ => {}
            }
            if Instant::now() + pause > deadline {
                return Err(Error::Timeout {
                    engine: ENGINE,
                    query_id: running.query_id.clone(),
                    timeout: self.options.timeout,
                });
            }
            sleep(pause).await;
            pause = longer(pause);
        }
    }

    /// Reads all pages of what a query answered.
    async fn read(&self, result: &mut AthenaResult) -> Result<()> {
        let mut pages = self
            .client
            .get_query_results()
            .query_execution_id(&result.query_id)
            .into_paginator()
            .send();
        let mut is_first = true;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("read what a query answered", &error))?;
            let Some(set) = page.result_set() else {
                continue;
            };
            if is_first {
                let columns = set
                    .result_set_metadata()
                    .map(ResultSetMetadata::column_info);
                let names = columns.unwrap_or_default().iter();
                result.columns = names.map(|column| column.name().to_owned()).collect();
            }
            let mut rows: Vec<_> = set.rows().iter().map(values).collect();
            // The first row of a SELECT says what the columns are called.
            if is_first
                && rows
                    .first()
                    .is_some_and(|row| *row == heads(&result.columns))
            {
                rows.remove(0);
            }
            result.rows.append(&mut rows);
            is_first = false;
        }
        Ok(())
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LONGEST_PAUSE)
}

fn values(row: &Row) -> Vec<Option<String>> {
    let data = row.data().iter();
    data.map(|value| value.var_char_value().map(ToOwned::to_owned))
        .collect()
}

fn heads(columns: &[String]) -> Vec<Option<String>> {
    columns.iter().cloned().map(Some).collect()
}

fn failed_query(query_id: &str, execution: &QueryExecution) -> Error {
    let status = execution.status();
    let error = status.and_then(|status| status.athena_error());
    let reason = status
        .and_then(|status| status.state_change_reason())
        .or_else(|| error.and_then(|error| error.error_message()))
        .unwrap_or("no reason is given");
    Error::Failed {
        engine: ENGINE,
        query_id: query_id.to_owned(),
        reason: reason.to_owned(),
        is_retryable: error.is_some_and(AthenaError::retryable),
    }
}

/// What a request's failure means.
fn failed<E>(action: &'static str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let engine = ENGINE;
    let SdkError::ServiceError(service) = error else {
        // The text of such an error does not tell its cause, which is all there is to tell.
        let source = DisplayErrorContext(error).to_string().into();
        return Error::Unavailable {
            engine,
            action,
            source,
        };
    };
    let code = service.err().code().unwrap_or_default();
    let message = service.err().message().unwrap_or("no message");
    let source = format!("{code}: {message}").into();
    let status = service.raw().status().as_u16();
    match code {
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "MissingAuthenticationTokenException" => Error::AccessDenied {
            engine,
            action,
            source,
        },
        "TooManyRequestsException" | "ThrottlingException" | "InternalServerException" => {
            Error::Unavailable {
                engine,
                action,
                source,
            }
        }
        _ if status >= 500 => Error::Unavailable {
            engine,
            action,
            source,
        },
        _ => Error::Refused {
            engine,
            action,
            source,
        },
    }
}

/// A query that was started. Where nobody waits for it any more before its end, it is cancelled.
struct Running {
    client: Client,
    query_id: String,
    is_over: std::sync::atomic::AtomicBool,
}

impl Running {
    fn is_over(&self) {
        self.is_over
            .store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_over.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let request = self
            .client
            .stop_query_execution()
            .query_execution_id(&self.query_id);
        let stop = async move {
            if let Err(error) = request.send().await {
                let error = DisplayErrorContext(&error).to_string();
                tracing::warn!(error, "a query could not be cancelled");
            }
        };
        match Handle::try_current() {
            // Its one thread is this one, which may not wait.
            Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread => {
                runtime.spawn(stop);
            }
            // The process, or its runtime, may be about to end.
            _ => block_on(stop),
        }
    }
}

/// Does some last work on a thread of its own, and waits for it a little.
fn block_on(work: impl Future<Output = ()> + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = runtime {
            runtime.block_on(work);
        }
        // Nobody waits any more if this fails.
        let _ = done.send(());
    });
    // Whatever comes of it, there is no more to do.
    let _ = is_done.recv_timeout(CANCEL_TIMEOUT);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use calve_base::Failure;
    use calve_testkit::moto::Moto;
    use serde_json::{Value, json};

    use super::{Athena, AthenaOptions};
    use crate::Error;

    async fn connect(moto: &Moto, options: AthenaOptions) -> Athena {
        let mut properties = moto.properties();
        properties.insert("athena.endpoint".to_owned(), moto.endpoint());
        Athena::connect("test", &properties, options).await.unwrap()
    }

    /// Queues what the next query answers: a head, and as many rows.
    fn queue(moto: &Moto, rows: usize) {
        let row = |text: String| json!({"Data": [{"VarCharValue": text}, {}]});
        let head = json!({"Data": [{"VarCharValue": "n"}, {"VarCharValue": "nothing"}]});
        let rows: Vec<Value> = std::iter::once(head)
            .chain((0..rows).map(|number| row(number.to_string())))
            .collect();
        let column = |name: &str| json!({"Name": name, "Type": "varchar"});
        let columns = [column("n"), column("nothing")];
        let result = json!({"rows": rows, "column_info": columns});
        let path = "/moto-api/static/athena/query-results";
        moto.tell(path, &json!({"results": [result]}));
    }

    fn states(moto: &Moto) -> Vec<String> {
        let listed = moto.athena("ListQueryExecutions", &json!({}));
        let ids = listed["QueryExecutionIds"].as_array().unwrap().iter();
        ids.map(|id| {
            let found = moto.athena("GetQueryExecution", &json!({"QueryExecutionId": id}));
            let state = &found["QueryExecution"]["Status"]["State"];
            state.as_str().unwrap().to_owned()
        })
        .collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_pages_of_an_answer_are_read() {
        let moto = Moto::start();
        let athena = connect(moto, AthenaOptions::default()).await;
        for rows in [0, 3, 4, 11] {
            queue(moto, rows);
            let answer = athena.query("SELECT n, nothing FROM t").await.unwrap();
            assert_eq!(answer.columns, ["n", "nothing"]);
            let expected: Vec<_> = (0..rows)
                .map(|number| vec![Some(number.to_string()), None])
                .collect();
            assert_eq!(answer.rows, expected);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_query_that_nobody_waits_for_is_cancelled() {
        let moto = Moto::start();
        let transition = json!({
            "model_name": "athena::execution",
            "transition": {"progression": "manual", "times": 1000},
        });
        moto.tell("/moto-api/state-manager/set-transition", &transition);
        let options = AthenaOptions {
            timeout: Duration::ZERO,
            ..AthenaOptions::default()
        };
        let athena = connect(moto, options).await;
        let error = athena.query("SELECT 'too slow'").await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        assert!(!error.is_retryable());
        assert_eq!(states(moto), ["CANCELLED"]);
        let athena = connect(moto, AthenaOptions::default()).await;
        let soon = Duration::from_secs(1);
        let ended = tokio::time::timeout(soon, athena.query("SELECT 'dropped'")).await;
        assert!(ended.is_err());
        assert_eq!(states(moto), ["CANCELLED", "CANCELLED"]);
    }

    #[tokio::test]
    async fn what_is_not_there_is_refused() {
        let moto = Moto::start();
        let options = AthenaOptions {
            workgroup: Some("nowhere".to_owned()),
            ..AthenaOptions::default()
        };
        let athena = connect(moto, options).await;
        let error = athena.query("SELECT 1").await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
}
