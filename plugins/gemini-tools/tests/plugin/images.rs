//! Images: created, edited, several at once, with a layout.

use dify_plugin::serde_json::json;

use crate::google::Google;
use crate::google_api::tools::IMAGE;
use crate::setup::{Files, host, tool};

#[tokio::test]
async fn an_image_is_a_file_of_its_real_type() {
    let google = Google::start().await;
    let parameters = json!({"prompt": "A cat", "aspect_ratio": "16:9", "size": "2K"});
    let outputs = tool(&host(), &google, "create_image", parameters).await.unwrap();
    let [file] = outputs.files() else { panic!("{:?}", outputs.files()) };
    assert_eq!((file.name.as_deref(), file.mime_type.as_str()), (Some("image-1.png"), "image/png"));
    assert_eq!(file.bytes, IMAGE, "not the draft among the thoughts");
    let described = json!([{"file_name": "image-1.png", "mime_type": "image/png", "bytes": IMAGE.len()}]);
    assert_eq!(outputs.variable("images"), Some(&described));
    assert_eq!(outputs.variable("image_count"), Some(&json!(1)));
    let text = r#"Drawn from 0 images: {"aspectRatio":"16:9","imageSize":"2K"}"#;
    assert_eq!(outputs.variable("description"), Some(&json!(text)));
    assert_eq!(outputs.text(), format!("1 image was generated.\n\n{text}"));
    assert_eq!(outputs.json()[0]["usage"]["total_tokens"], 9);
    let sent = google.seen(":generateContent").pop().unwrap();
    assert_eq!(sent.path, "/v1beta/models/gemini-nano-banana-2.1:generateContent");
}

#[tokio::test]
async fn several_images_are_requested_at_once_and_failures_are_reported_beside_them() {
    let google = Google::start().await;
    let busy = json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}});
    google.reply_to(":generateContent", 503, busy);
    let outputs = tool(&host(), &google, "create_image", json!({"prompt": "A cat", "count": 3})).await.unwrap();
    let names: Vec<_> = outputs.files().iter().filter_map(|file| file.name.as_deref()).collect();
    assert_eq!(names, ["image-1.png", "image-2.png"]);
    assert!(outputs.text().starts_with("2 images were generated. 1 of 3 requests failed: "), "{}", outputs.text());
    assert!(outputs.json()[0]["failures"][0].as_str().unwrap().contains("overloaded"));
    assert_eq!(outputs.json()[0]["usage"]["total_tokens"], 18, "of all answers");
}

#[tokio::test]
async fn several_images_are_edited_into_one() {
    let google = Google::start().await;
    let files =
        Files::start(vec![("a.png", "image/png", IMAGE.to_vec()), ("b.jpg", "image/jpeg", vec![0xFF, 0xD8, 0xFF, 1])]);
    let files = files.await;
    let images = json!([files.file("a.png", "image", "image/png"), files.file("b.jpg", "image", "image/jpeg")]);
    let url = "https://images.example/c.webp";
    let parameters = json!({"prompt": "Join them", "images": images, "image_urls": url});
    let outputs = tool(&host(), &google, "edit_image", parameters).await.unwrap();
    assert_eq!(outputs.files().len(), 1);
    assert!(outputs.text().contains("Drawn from 3 images"), "{}", outputs.text());
    let parts = google.seen(":generateContent").pop().unwrap().body["contents"][0]["parts"].clone();
    assert_eq!(parts[0], json!({"fileData": {"mimeType": "image/webp", "fileUri": url}}));
    let types = [&parts[1], &parts[2]].map(|part| part["inlineData"]["mimeType"].as_str().unwrap().to_owned());
    assert_eq!(types, ["image/png", "image/jpeg"]);
    assert_eq!(parts[3], json!({"text": "Join them"}));
}

#[tokio::test]
async fn large_images_are_uploaded_and_uploaded_again_if_google_has_deleted_them() {
    let (google, host) = (Google::start().await, host());
    let large = [IMAGE, &vec![7; 16 * 1024 * 1024]].concat();
    let files = Files::start(vec![("a.png", "image/png", large), ("b.png", "image/png", IMAGE.to_vec())]).await;
    let images = json!([files.file("a.png", "image", "image/png"), files.file("b.png", "image", "image/png")]);
    let parameters = json!({"prompt": "Join them", "images": images});
    for uploads in [1, 1, 2] {
        assert!(tool(&host, &google, "edit_image", parameters.clone()).await.is_ok());
        assert_eq!(google.state.files.uploaded().len(), uploads);
        let parts = google.seen(":generateContent").pop().unwrap().body["contents"][0]["parts"].clone();
        assert!(parts[0]["fileData"].is_object() && parts[1]["inlineData"].is_object(), "only the largest is uploaded");
        if google.seen(":generateContent").len() == 2 {
            google.state.files.expire();
        }
    }
}
