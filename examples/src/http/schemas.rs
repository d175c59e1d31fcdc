//! What goes over the wire, for the OpenAPI document alone: the core reads and writes it, and knows of no document.
//!
//! A test holds each of these against what the core writes, attribute by attribute.

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

/// A registration and changes to one have the same fields, of which a registration must have some.
macro_rules! request {
    ($(#[$meta:meta])* $name:ident, $required:tt) => {
        #[derive(Debug, ToSchema)]
        $(#[$meta])*
        #[schema(rename_all = "camelCase")]
        pub struct $name {
            /// Unique name, at most 256 bytes, without control characters and blanks around it. It makes the id, and cannot be changed.
            #[schema(required = $required, min_length = 1, max_length = 256)]
            pub nombre: String,
            /// When to run: `cron(…)`, `rate(…)`, `at(…)` in the dialect of EventBridge Scheduler, or the six bare cron fields.
            #[schema(required = $required, min_length = 1, max_length = 256)]
            pub cron: String,
            /// What to run: the ARN of a function, state machine, topic or queue, or `kairos:task:NAME`.
            #[schema(required = $required, min_length = 1)]
            pub arn_proceso: String,
            /// As whom: the ARN of a role. Every AWS target needs it.
            pub arn_rol: Option<String>,
            /// What the target is handed, at most 256 KiB. `<kairos.execution-id>`, `<kairos.scheduled-time>`, `<kairos.process-id>`,
            /// `<kairos.schedule-id>` and `<kairos.attempt>` are filled in.
            #[schema(max_length = 262_144)]
            pub parametros: Option<String>,
            /// Whether occurrences are dispatched; yes if a registration does not say otherwise.
            #[schema(required = false)]
            pub habilitado: bool,
            /// IANA name of the zone in which the expression is meant; UTC if absent.
            #[schema(min_length = 1)]
            pub zona_horaria: Option<String>,
            /// No occurrence before this instant.
            #[schema(format = DateTime)]
            pub inicio: Option<String>,
            /// No occurrence after this instant.
            #[schema(format = DateTime)]
            pub fin: Option<String>,
            /// Flexible window, in minutes.
            #[schema(minimum = 1, maximum = 1_440)]
            pub ventana_minutos: Option<u32>,
            /// Schedule group of the trigger.
            #[schema(pattern = "^[0-9a-zA-Z._-]{1,64}$")]
            pub grupo: Option<String>,
            /// Free labels: at most 50, keys of 1 to 128 and values of up to 256 characters.
            pub etiquetas: Option<BTreeMap<String, String>>,
            /// What it is for.
            #[schema(max_length = 512)]
            pub descripcion: Option<String>,
            /// How often an execution is tried at most.
            #[schema(minimum = 1, maximum = 185)]
            pub maximo_intentos: Option<u32>,
            /// How many seconds after its scheduled time an execution may still be tried.
            #[schema(minimum = 60, maximum = 1_209_600)]
            pub edad_maxima_segundos: Option<u64>,
        }
    };
}

request! {
    /// A request to run a process on a schedule. Keys may be in any case; unknown ones are ignored; null is absent.
    #[schema(as = Registro, examples(json!({
        "nombre": "ventas",
        "cron": "cron(0 9 ? * MON-FRI *)",
        "arnRol": "arn:aws:iam::123456789012:role/kairos-ventas",
        "arnProceso": "arn:aws:lambda:us-east-1:123456789012:function:ventas",
        "parametros": "{\"dia\":\"<kairos.scheduled-time>\"}",
        "habilitado": true
    })))]
    Registration, true
}

request! {
    /// Changes to a process (JSON Merge Patch, RFC 7396): what is absent stays, null takes away what may be absent. Keys may be in
    /// any case.
    #[schema(as = Cambios, examples(json!({"habilitado": false}), json!({"cron": "rate(15 minutes)", "descripcion": null})))]
    Changes, false
}

/// A process as it is stored.
#[derive(Debug, ToSchema)]
#[schema(as = Proceso, rename_all = "PascalCase")]
pub struct Process {
    /// Made of the name.
    pub id_proceso: String,
    /// The schedule it belongs to.
    pub id_calendarizacion: String,
    /// Unique name.
    pub nombre: String,
    /// As whom the target is called.
    #[schema(required = true)]
    pub arn_rol: Option<String>,
    /// What is run.
    pub arn_proceso: String,
    /// What the target is handed.
    #[schema(required = true)]
    pub parametros: Option<String>,
    /// Whether occurrences are dispatched.
    pub habilitado: bool,
    /// When it was registered.
    #[schema(format = DateTime)]
    pub fecha_creacion: String,
    /// IANA name of its zone; UTC if absent.
    #[schema(required = false)]
    pub zona_horaria: String,
    /// No occurrence before this instant.
    #[schema(required = false, format = DateTime)]
    pub inicio: String,
    /// No occurrence after this instant.
    #[schema(required = false, format = DateTime)]
    pub fin: String,
    /// Flexible window, in minutes.
    #[schema(required = false)]
    pub ventana_minutos: u32,
    /// Schedule group of its trigger.
    #[schema(required = false)]
    pub grupo: String,
    /// Free labels.
    #[schema(required = false)]
    pub etiquetas: BTreeMap<String, String>,
    /// What it is for.
    #[schema(required = false)]
    pub descripcion: String,
    /// How often an execution is tried at most.
    #[schema(required = false)]
    pub maximo_intentos: u32,
    /// How many seconds after its scheduled time an execution may still be tried.
    #[schema(required = false)]
    pub edad_maxima_segundos: u64,
    /// Who registered it, where the server knew.
    #[schema(required = false)]
    pub registrado_por: String,
}

/// A schedule as it is stored, and when it fires next.
#[derive(Debug, ToSchema)]
#[schema(as = Calendarizacion, rename_all = "PascalCase")]
pub struct Schedule {
    /// Made of the specification.
    pub id_calendarizacion: String,
    /// Name to show.
    pub nombre: String,
    /// What it is for.
    #[schema(required = false)]
    pub descripcion: String,
    /// The expression, as it was written.
    pub cron: String,
    /// IANA name of its zone; UTC if absent.
    #[schema(required = false)]
    pub zona_horaria: String,
    /// No occurrence before this instant.
    #[schema(required = false, format = DateTime)]
    pub inicio: String,
    /// No occurrence after this instant.
    #[schema(required = false, format = DateTime)]
    pub fin: String,
    /// Flexible window, in minutes.
    #[schema(required = false)]
    pub ventana_minutos: u32,
    /// The group that holds its trigger.
    #[schema(required = false)]
    pub grupo: String,
    /// The ARN of its trigger.
    #[schema(required = false)]
    pub arn: String,
    /// When its record was written first.
    #[schema(format = DateTime)]
    pub fecha_creacion: String,
    /// Whether its trigger exists.
    pub estado: ScheduleState,
    /// How many processes belong to it; absent where the older system wrote the record.
    #[schema(required = false)]
    pub cantidad_procesos: u64,
    /// Which call is creating or deleting its trigger.
    #[schema(required = false)]
    pub propietario: String,
    /// Until when, at most.
    #[schema(required = false, format = DateTime)]
    pub reservada_hasta: String,
    /// When it fires next; absent where the expression cannot be read.
    #[schema(required = false, max_items = 100, value_type = Vec<Instant>)]
    pub proximas_fechas: Vec<String>,
}

/// Whether a schedule's trigger exists.
#[derive(Debug, ToSchema)]
#[schema(as = EstadoDeCalendarizacion)]
pub enum ScheduleState {
    /// It exists.
    Activa,
    /// A call is creating it.
    Creando,
    /// A call is deleting it.
    Retirando,
}

/// One process at one occurrence, and what became of it.
#[derive(Debug, ToSchema)]
#[schema(as = Ejecucion, rename_all = "PascalCase")]
pub struct Execution {
    /// Which one.
    #[schema(format = "uuid")]
    pub id_ejecucion: String,
    /// Its process.
    pub id_proceso: String,
    /// The schedule of its process.
    pub id_calendarizacion: String,
    /// When it should have run.
    #[schema(format = DateTime)]
    pub fecha_programada: String,
    /// Who asked for it.
    pub origen: Origin,
    /// What became of it so far.
    pub estado: ExecutionState,
    /// How often it was tried.
    pub intentos: u32,
    /// When the last try began.
    #[schema(format = DateTime)]
    pub fecha_inicio: String,
    /// When the last try ended.
    #[schema(required = false, format = DateTime)]
    pub fecha_fin: String,
    /// Why the last try failed.
    #[schema(required = false)]
    pub error: Failure,
}

/// Who asked for an execution.
#[derive(Debug, ToSchema)]
#[schema(as = Origen, rename_all = "camelCase")]
pub enum Origin {
    /// Its schedule.
    Calendario,
    /// Somebody, now.
    Manual,
    /// A backfill.
    Reproceso,
}

/// What became of an execution.
#[derive(Debug, ToSchema)]
#[schema(as = EstadoDeEjecucion)]
pub enum ExecutionState {
    /// It is being tried.
    EnCurso,
    /// The target took it.
    Exitosa,
    /// The last try failed, and it will come back.
    Fallida,
    /// It failed for good.
    Muerta,
    /// It came too late to be run.
    Omitida,
}

/// Why a try failed.
#[derive(Debug, ToSchema)]
#[schema(as = Fallo, rename_all = "PascalCase")]
pub struct Failure {
    /// The kind of error, in one word.
    pub tipo: String,
    /// What went wrong.
    pub texto: String,
}

/// An instant.
#[derive(Debug, ToSchema)]
#[schema(as = Instante, value_type = String, format = DateTime)]
pub struct Instant(pub String);

/// How to run a process now.
#[derive(Debug, ToSchema)]
#[schema(as = SolicitudDeEjecucion, examples(json!({"clave": "cierre-2026-01"})))]
pub struct RunRequest {
    /// Idempotency key: under the same one it runs once. The header `Idempotency-Key` says the same.
    #[schema(min_length = 1, max_length = 256)]
    pub clave: Option<String>,
}

/// Which occurrences to queue once more.
#[derive(Debug, ToSchema)]
#[schema(as = SolicitudDeReproceso, examples(json!({"desde": "2026-01-01T00:00:00Z", "hasta": "2026-01-02T00:00:00Z"})))]
pub struct BackfillRequest {
    /// The first scheduled time.
    #[schema(format = DateTime)]
    pub desde: String,
    /// The last scheduled time.
    #[schema(format = DateTime)]
    pub hasta: String,
    /// How many occurrences are queued at most.
    #[schema(minimum = 1, maximum = 10_000, default = 1_000)]
    pub limite: Option<u32>,
    /// Where to go on: the `Cursor` of the answer before.
    pub cursor: Option<String>,
}

/// What the path names.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InPath {
    /// The id, as answers hold it.
    #[param(min_length = 1)]
    pub id: String,
}

/// The idempotency key, in a header.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Key {
    /// Under the same key a process runs once. The field `clave` says the same.
    #[param(rename = "Idempotency-Key", required = false, min_length = 1, max_length = 256)]
    pub key: String,
}

/// Which page of a listing.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// How many items at most. A page may hold fewer, even none, while the listing goes on.
    #[param(required = false, minimum = 1, maximum = 1000, default = 100)]
    pub limite: u32,
    /// Where to go on: the `Cursor` of the page before.
    #[param(required = false)]
    pub cursor: String,
}

/// Which processes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProcessFilter {
    /// Only those whose name begins with this.
    #[param(required = false)]
    pub nombre: String,
    /// Only those of the schedule of this id.
    #[param(required = false, pattern = "^[0-9A-Za-z._-]{1,2048}$")]
    pub calendarizacion: String,
    /// Only the enabled, or only the disabled ones.
    #[param(required = false)]
    pub habilitado: bool,
}

/// How many next fire times.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Upcoming {
    /// How many next fire times are shown at most.
    #[param(required = false, minimum = 0, maximum = 100, default = 5)]
    pub proximas: u32,
}

/// Which executions.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExecutionFilter {
    /// Only those in this state.
    #[param(required = false, inline)]
    pub estado: ExecutionState,
    /// Only those of the process of this id.
    #[param(required = false, pattern = "^[0-9A-Za-z._-]{1,2048}$")]
    pub proceso: String,
    /// Only those scheduled at or after this instant.
    #[param(required = false, format = DateTime)]
    pub desde: String,
    /// Only those scheduled at or before this instant.
    #[param(required = false, format = DateTime)]
    pub hasta: String,
}
