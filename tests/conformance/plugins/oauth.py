"""The authorization of every provider that has one; the same as `oauth.rs`."""


def authorization_url(redirect_uri, system_credentials):
    return f"https://example.com/authorize?client_id={system_credentials['client_id']}&redirect_uri={redirect_uri}"


def credentials(request):
    query = request.query_string.decode()
    if not query:
        raise ValueError("the callback has no code")
    return made(f"token of {query}")


def refresh(credentials):
    return made(f"{credentials['access_token']}, renewed")


def made(token):
    return {"credentials": {"access_token": token}, "expires_at": 1_900_000_000}
