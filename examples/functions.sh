# How are functions timed and counted without touching them? By name; the application is plain_app.py.
#
#     $ sh examples/functions.sh
#
# Not `checkout`: Flask's decorator has registered it before it can be wrapped.

export OTEL_VENDOR_INSTRUMENT="\
examples.plain_app:price_of=timed(Price lookup);
examples.plain_app:place_order=counted(Orders);
examples.plain_app:place_order=counted(Revenue, value=result)"

export OTEL_TRACES_EXPORTER=mpulse
export OTEL_METRICS_EXPORTER=mpulse
export OTEL_LOGS_EXPORTER=none

exec opentelemetry-instrument gunicorn examples.plain_app:app
