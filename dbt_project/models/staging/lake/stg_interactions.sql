{{ latest_versions('interactions') }}
