//! What is asked: five kinds of charts, over the year of the generated events.

/// A query of plot data.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    parameters: &'static str,
    /// Whether ten of the job types are selected.
    ten_choices: bool,
}

pub(crate) const QUERIES: &[Query] = &[
    Query { name: "a year by day, all columns", parameters: "started=2024-01-01&ended=2024-12-31", ten_choices: false },
    Query {
        name: "90 days, 4 columns, 10 choices",
        parameters: "started=2024-03-01&ended=2024-05-29&column=completed_count&column=failed_count\
             &column=run_time_avg&column=queue_time_max",
        ten_choices: true,
    },
    Query {
        name: "30 days, one column",
        parameters: "started=2024-03-01&ended=2024-03-30&column=run_time_avg",
        ten_choices: false,
    },
    Query {
        name: "a year by hour, all columns",
        parameters: "started=2024-01-01&ended=2024-12-31&resolution=hour",
        ten_choices: false,
    },
    Query {
        name: "30 days by hour, one column, 10 choices",
        parameters: "started=2024-03-01&ended=2024-03-30T23:00:00Z&resolution=hour&column=run_time_avg",
        ten_choices: true,
    },
];

const PLOT_DATA: &str = "/v6/metrics/job-types/plot-data/";

impl Query {
    pub(crate) fn path(&self) -> String {
        let ids = if self.ten_choices { (3..200).step_by(20).collect() } else { Vec::new() };
        let choices: Vec<_> = ids.iter().map(|id| format!("&choice_id={id}")).collect();
        format!("{PLOT_DATA}?{}{}", self.parameters, choices.concat())
    }
}

/// Asks for about 30 days of one column, never twice for the same: by where they begin, by column, by how many they are.
pub(crate) const DISTINCT: &str = r#"
local columns = {}
for _, name in ipairs({"queue_time", "pre_time", "job_time", "post_time", "run_time", "stage_time"}) do
  for _, statistic in ipairs({"sum", "min", "max", "avg"}) do
    columns[#columns + 1] = name .. "_" .. statistic
  end
end
local first = os.time({year = 2024, month = 1, day = 1, hour = 12})
local function date(day) return os.date("!%Y-%m-%d", first + day * 86400) end
local dates = {}
for day = 0, 366 do dates[day] = date(day) end

-- Each thread has every second question.
local threads = 0
function setup(thread)
  thread:set("place", threads)
  threads = threads + 1
end

function request()
  local start = place % 330
  local column = columns[math.floor(place / 330) % #columns + 1]
  local days = 26 + math.floor(place / (330 * #columns)) % 9
  place = place + 2
  return wrk.format("GET", "/v6/metrics/job-types/plot-data/?started=" .. dates[start] ..
    "&ended=" .. dates[start + days] .. "&column=" .. column)
end

function response(status)
  if status ~= 200 then os.exit(1) end
end
"#;
