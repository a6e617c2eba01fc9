from dify_plugin.errors.tool import DatasourceCredentialValidationError
from dify_plugin.interfaces.datasource import DatasourceProvider


class Provider(DatasourceProvider):
    def _validate_credentials(self, credentials):
        if credentials.get("api_key") != "good-key":
            raise DatasourceCredentialValidationError("the service rejects the key")
