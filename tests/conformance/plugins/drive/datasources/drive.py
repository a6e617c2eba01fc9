from dify_plugin.entities.datasource import OnlineDriveBrowseFilesResponse, OnlineDriveFile, OnlineDriveFileBucket
from dify_plugin.interfaces.datasource.online_drive import OnlineDriveDatasource

import steps


class Drive(OnlineDriveDatasource):
    def _browse_files(self, request):
        if not request.bucket and not request.prefix:
            return OnlineDriveBrowseFilesResponse(
                result=[OnlineDriveFileBucket(bucket="photos", files=[], is_truncated=False)]
            )
        files = [
            OnlineDriveFile(id="a", name="a", size=0, type="folder"),
            OnlineDriveFile(id="a.txt", name="a.txt", size=5, type="file"),
        ]
        more = None if request.next_page_parameters else {"after": "a.txt"}
        listing = OnlineDriveFileBucket(
            bucket=request.bucket, files=files, is_truncated=bool(more), next_page_parameters=more
        )
        return OnlineDriveBrowseFilesResponse(result=[listing])

    def _download_file(self, request):
        if not request.id.isdigit():
            raise ValueError("no such file")
        meta = {"file_name": "a.bin", "mime_type": "application/octet-stream"}
        yield self.create_blob_message(steps.pattern(int(request.id)), meta)
