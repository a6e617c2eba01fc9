from dify_plugin.entities.datasource import DatasourceGetPagesResponse, OnlineDocumentInfo, OnlineDocumentPage
from dify_plugin.interfaces.datasource.online_document import OnlineDocumentDatasource

EDITED = "2026-01-31T00:00:00Z"


class Notes(OnlineDocumentDatasource):
    def _get_pages(self, datasource_parameters):
        icon = {"type": "emoji", "emoji": "📄"}
        first = OnlineDocumentPage(page_id="1", page_name="First", type="page", last_edited_time=EDITED)
        second = OnlineDocumentPage(
            page_id="2", page_name="Second", page_icon=icon, type="page", last_edited_time=EDITED, parent_id="1"
        )
        workspace = OnlineDocumentInfo(
            workspace_id="w", workspace_name="Work", workspace_icon="https://example.com/w.png", total=2, pages=[first, second]
        )
        return DatasourceGetPagesResponse(result=[workspace])

    def _get_content(self, page):
        if page.page_id == "missing":
            raise ValueError("no such page")
        yield self.create_variable_message("content", f"# Page {page.page_id}")
        yield self.create_variable_message("title", "First")
        yield self.create_variable_message("workspace_id", page.workspace_id)
        yield self.create_variable_message("page_id", page.page_id)
