from dify_plugin.entities.datasource import DatasourceOAuthCredentials
from dify_plugin.errors.tool import DatasourceCredentialValidationError
from dify_plugin.interfaces.datasource import DatasourceProvider

import oauth


class Provider(DatasourceProvider):
    def _validate_credentials(self, credentials):
        if credentials.get("api_key") != "good-key":
            raise DatasourceCredentialValidationError("the service rejects the key")

    def _oauth_get_authorization_url(self, redirect_uri, system_credentials):
        return oauth.authorization_url(redirect_uri, system_credentials)

    def _oauth_get_credentials(self, redirect_uri, system_credentials, request):
        return DatasourceOAuthCredentials(**oauth.credentials(request))

    def _oauth_refresh_credentials(self, redirect_uri, system_credentials, credentials):
        return DatasourceOAuthCredentials(**oauth.refresh(credentials))
