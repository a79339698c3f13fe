# How is it switched on by environment variables alone? The application is plain_app.py, unchanged.
#
#     $ sh examples/environment.sh
#
# With an account, the keys as well: OTEL_EXPORTER_MPULSE_API_KEY, OTEL_EXPORTER_MPULSE_DOMAIN,
# OTEL_EXPORTER_MPARTICLE_API_KEY and OTEL_EXPORTER_MPARTICLE_API_SECRET.

export OTEL_TRACES_EXPORTER=mpulse
export OTEL_METRICS_EXPORTER=mpulse
export OTEL_LOGS_EXPORTER=mparticle
export OTEL_SERVICE_NAME=shop
export OTEL_EXPORTER_MPULSE_TIMERS="POST /checkout/*=Checkout"

exec opentelemetry-instrument gunicorn examples.plain_app:app
